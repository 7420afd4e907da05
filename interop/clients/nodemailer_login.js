// nodemailer_login.js SUBMISSION SMTPS USER PASSWORD TOKEN RECIPIENT: four ways to log in over each kind of TLS, and a wrong password.
'use strict';
const assert = require('assert');
const nodemailer = require('nodemailer');

const [submission, smtps, user, pass, accessToken, to] = process.argv.slice(2);
const ways = [
    { auth: { user, pass } },
    { authMethod: 'PLAIN', auth: { user, pass } },
    { authMethod: 'LOGIN', auth: { user, pass } },
    { auth: { type: 'OAuth2', user, accessToken } },
];

async function send(way, secure) {
    const transport = nodemailer.createTransport({
        host: 'localhost', port: Number(secure ? smtps : submission), secure, requireTLS: true, ...way,
    });
    try {
        await transport.sendMail({ from: user, to, subject: 'nodemailer', text: 'Hello.' });
    } finally {
        transport.close();
    }
}

async function main() {
    for (const secure of [false, true]) {
        for (const way of ways) {
            await send(way, secure);
        }
        const wrong = { auth: { user, pass: 'wrong' } };
        await assert.rejects(send(wrong, secure), (error) => error.code === 'EAUTH' && error.responseCode === 535);
    }
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
