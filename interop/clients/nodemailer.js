// nodemailer.js PORT SCENE [FILE]: nodemailer without special settings but for TLS, which 127.0.0.1 does without.
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const [port, scene, file] = process.argv.slice(2);
const transport = nodemailer.createTransport({ host: '127.0.0.1', port: Number(port), pool: scene === 'pool' });

const scenes = {
    // The bytes that it built go to FILE too, so that they can be compared with what arrives.
    async rich() {
        const message = {
            from: 'Ann Ångström <ann@example.org>',
            to: 'Bob <bob@example.net>',
            subject: 'Grüße aus Köln',
            text: 'Guten Tag, schöne Grüße.\n.\n..zwei Punkte',
            html: '<p>Guten Tag, <b>schöne</b> Grüße.</p>',
            attachments: [{ filename: 'naïve.bin', content: Buffer.from(Array.from({ length: 70000 }, (_, i) => i & 255)) }],
        };
        const stream = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
        const built = await stream.sendMail(message);
        fs.writeFileSync(file, built.message);
        await transport.sendMail({ envelope: built.envelope, raw: built.message });
    },
    async utf8() {
        await transport.sendMail({ from: 'ann@example.org', to: 'jürgen@example.net', subject: 'UTF-8', text: 'Hallo' });
    },
    async pool() {
        const one = (_, number) =>
            transport.sendMail({ from: 'ann@example.org', to: 'pool@example.net', subject: `number ${number}`, text: 'pooled' });
        await Promise.all(Array.from({ length: 60 }, one));
    },
};

scenes[scene]()
    .then(() => transport.close())
    .catch((error) => {
        console.error(error);
        process.exit(1);
    });
