//! Commands: whether they fit the moment, and what they do.

use super::content::{Chunk, Data};
use super::text::Text;
use super::{Abort, Closing, Event, Hello, Mail, MailNeeds, Phase, Question, Server, StartTls, Transaction};
use crate::{
    AUTH_LINE_MAX, Body, Command, Fault, ForwardPath, InClear, MailParameters, Protocol, RcptParameters,
    Recipient, Reply, ReversePath, Syntax, Verb, replies,
};
use bytes::Bytes;
use std::time::Instant;
use wire::Line;

impl Server {
    /// Reads and obeys one command, if there is one.
    pub(super) fn command(&mut self, now: Instant) -> bool {
        let long_auth = self.is_long_auth();
        let max = match long_auth {
            true => self.config.command_line_max.max(AUTH_LINE_MAX),
            false => self.config.command_line_max,
        };
        let Some(line) = self.input.next_line(max) else {
            return self.starve(now);
        };
        self.deadline = Some(now + self.config.idle_timeout);
        let (line, refusal) = match line {
            Line::TooLong(line) if long_auth => (line, replies::AUTH_LINE_TOO_LONG),
            Line::TooLong(line) => (line, replies::LINE_TOO_LONG),
            Line::BareEnding(line) => (line, replies::BARE_LINE_ENDING),
            Line::Complete(line) => {
                let result = Command::parse(&line).map_err(|syntax| replies::syntax(&syntax));
                if let Ok(command) = &result {
                    // Whoever goes on with commands sends no passwords.
                    self.after_auth &= command.verb() == Verb::Auth;
                }
                match result.map(|command| self.obey(command, &line)) {
                    Ok(Ok(())) => return true,
                    Ok(Err(refusal)) => (line, refusal),
                    Err(refusal) => (line, refusal),
                }
            }
        };
        let is = |verb: Verb| {
            line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(verb.as_str().as_bytes()))
        };
        let is_auth = line.trim_ascii_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH"));
        let (is_bdat, is_mail) = (is(Verb::Bdat), is(Verb::Mail));
        let line = self.loggable(line);
        self.after_auth |= is_auth;
        if is_bdat {
            self.lose_chunk(line);
        } else if is_mail {
            self.excused = 0;
            self.refuse_line(line, refusal);
            self.excuse_group();
        } else {
            self.refuse_line(line, refusal);
        }
        true
    }

    /// A BDAT was not understood, so nobody knows how many octets of content follow. To read on would take
    /// content for commands.
    fn lose_chunk(&mut self, line: Bytes) {
        self.refuse_line(line, replies::LOST_CHUNK);
        if !matches!(self.phase, Phase::Closed) {
            self.abort(Abort::Refused(replies::LOST_CHUNK));
            self.close(Closing::Refused);
        }
    }

    /// Does what the command says, or says why not.
    fn obey(&mut self, command: Command, line: &Bytes) -> Result<(), Reply> {
        self.check_purpose(&command)?;
        match command {
            Command::Helo(name) => self.hello(Verb::Helo, name)?,
            Command::Ehlo(name) => self.hello(Verb::Ehlo, name)?,
            Command::Lhlo(name) => self.hello(Verb::Lhlo, name)?,
            Command::Mail(reverse_path, parameters) => self.mail(reverse_path, parameters)?,
            Command::Rcpt(forward_path, parameters) => self.rcpt(forward_path, parameters)?,
            Command::Data => {
                let recipients = self.recipients_for_content(Verb::Data)?;
                self.say(&replies::START_CONTENT);
                self.phase = Phase::Data(Box::new(Data::new(recipients, &self.config)));
            }
            Command::Bdat { size, last } => {
                let mut chunk = Chunk::new(size);
                chunk.last = last;
                self.bdat(chunk, line);
            }
            Command::Rset => {
                self.abort(Abort::Reset);
                self.say(&replies::OK);
            }
            Command::Noop => self.say(&replies::OK),
            Command::Quit => {
                self.abort(Abort::Quit);
                self.say(&replies::BYE);
                self.close(Closing::Quit);
            }
            Command::Vrfy(_) => self.say(&replies::CANNOT_VERIFY),
            Command::Help(topic) => {
                let reply = replies::help(topic.as_deref());
                self.say(&reply);
            }
            Command::Expn(_) => return Err(replies::NO_EXPN),
            Command::StartTls => self.start_tls()?,
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial)?,
            Command::XClient(attributes) => self.xclient(attributes)?,
        }
        Ok(())
    }

    /// Refuses commands that lead to no message once there were many of them: nobody needs them, and they would keep a session open for
    /// ever.
    fn check_purpose(&mut self, command: &Command) -> Result<(), Reply> {
        match command {
            Command::Mail(..) | Command::Rcpt(..) | Command::Data | Command::Bdat { .. } | Command::Quit => {
                Ok(())
            }
            _ if self.idle_commands < IDLE_COMMANDS_MAX => {
                self.idle_commands += 1;
                Ok(())
            }
            _ => Err(replies::NO_PURPOSE),
        }
    }

    fn hello(&mut self, verb: Verb, name: String) -> Result<(), Reply> {
        match (self.config.protocol, verb) {
            (Protocol::Lmtp, Verb::Helo | Verb::Ehlo) => return Err(replies::THIS_IS_LMTP),
            (Protocol::Smtp, Verb::Lhlo) => return Err(replies::THIS_IS_SMTP),
            _ => {}
        }
        let hello = Hello { verb, name };
        self.ask(Event::Hello(hello.clone()), Question::Hello(Box::new(hello)));
        Ok(())
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> Result<(), Reply> {
        self.need_hello()?;
        if self.transaction.is_some() {
            return Err(replies::NESTED_MAIL);
        }
        self.need_login()?;
        if parameters.auth.is_some() && !self.knows_auth() {
            let fault = Fault::UnknownParameter("AUTH".to_owned());
            return Err(replies::syntax(&Syntax { verb: Some(Verb::Mail), fault }));
        }
        if parameters.require_tls && !self.offers_require_tls() {
            let fault = Fault::UnknownParameter("REQUIRETLS".to_owned());
            return Err(replies::syntax(&Syntax { verb: Some(Verb::Mail), fault }));
        }
        if self.config.is_too_big(parameters.size.unwrap_or(0)) {
            return Err(replies::MESSAGE_TOO_BIG);
        }
        let transaction =
            Transaction { body: parameters.body, smtputf8: parameters.smtputf8, ..Transaction::default() };
        let mail = Mail { reverse_path, parameters };
        self.excused = 0;
        self.ask(Event::Mail(mail), Question::Mail(Box::new(transaction)));
        Ok(())
    }

    fn rcpt(&mut self, forward_path: ForwardPath, parameters: RcptParameters) -> Result<(), Reply> {
        self.need_hello()?;
        let transaction = self.transaction.as_deref().ok_or(replies::NEED_MAIL)?;
        if transaction.chunked {
            return Err(replies::BDAT_STARTED);
        }
        if !forward_path.is_ascii() && !transaction.smtputf8 {
            return Err(replies::NEED_SMTPUTF8);
        }
        if transaction.accepted >= self.config.max_recipients {
            return Err(replies::TOO_MANY_RECIPIENTS);
        }
        let RcptParameters { notify, original } = parameters;
        self.ask(Event::Rcpt(Recipient { forward_path, notify, original }), Question::Rcpt);
        Ok(())
    }

    /// How many recipients the content will be for, if it may come now by `verb`, DATA or BDAT.
    fn recipients_for_content(&self, verb: Verb) -> Result<usize, Reply> {
        self.need_hello()?;
        let transaction = self.transaction.as_deref().ok_or(replies::NEED_MAIL)?;
        if verb == Verb::Data {
            if transaction.chunked {
                return Err(replies::BDAT_STARTED);
            }
            if transaction.body == Body::BinaryMime {
                return Err(replies::BINARY_NEEDS_BDAT);
            }
        }
        match (transaction.accepted, transaction.refused, self.config.protocol) {
            (0, 0, _) | (0, _, Protocol::Lmtp) => Err(replies::NEED_RCPT),
            (0, _, Protocol::Smtp) => Err(replies::NO_VALID_RECIPIENTS),
            (accepted, ..) => Ok(accepted),
        }
    }

    /// Begins to read a chunk. Its octets follow whether it may come or not (RFC 3030 §2), so a refusal waits
    /// for their end.
    fn bdat(&mut self, mut chunk: Chunk, line: &Bytes) {
        let is_idle = chunk.size == 0 && !chunk.last;
        match self.recipients_for_content(Verb::Bdat) {
            // Octets are bounded by the size of a message; chunks without any are not.
            Ok(_) if is_idle && self.idle_commands >= IDLE_COMMANDS_MAX => {
                chunk.refuse_command(replies::NO_PURPOSE, line.clone());
            }
            Err(reply) => chunk.refuse_command(reply, line.clone()),
            Ok(recipients) => {
                chunk.recipients = recipients;
                self.idle_commands += u32::from(is_idle);
                let received = self.transaction.as_ref().map_or(0, |transaction| transaction.received);
                if self.config.is_too_big(received.saturating_add(chunk.size)) {
                    chunk.refuse_content(replies::MESSAGE_TOO_BIG);
                }
            }
        }
        match chunk.refusal() {
            Some(reply) => {
                let reply = reply.clone();
                if self.is_too_much_to_discard(chunk.size) {
                    return self.refuse_to_read_on(&reply);
                }
                self.abort(Abort::Refused(reply));
            }
            None => {
                if let Some(transaction) = &mut self.transaction
                    && !transaction.chunked
                {
                    transaction.chunked = true;
                    let is_text = transaction.body != Body::BinaryMime;
                    transaction.text = is_text.then(|| Text::new(&self.config));
                }
            }
        }
        self.phase = Phase::Chunk(Box::new(chunk));
    }

    /// RFC 6409 §4.3. Where AUTH waits for TLS the reply says what comes first (RFC 3207 §4).
    fn need_login(&self) -> Result<(), Reply> {
        if self.config.mail_needs == MailNeeds::Nothing || self.is_authenticated() {
            return Ok(());
        }
        let tls_first = !self.is_secured()
            && self.config.starttls == StartTls::Offered
            && self.config.auth.in_clear == InClear::Refuse;
        Err(if tls_first { replies::STARTTLS_FIRST } else { replies::AUTH_REQUIRED })
    }

    pub(super) fn need_hello(&self) -> Result<(), Reply> {
        match (&self.peer, self.config.protocol) {
            (Some(_), _) => Ok(()),
            (None, Protocol::Smtp) => Err(replies::HELLO_FIRST),
            (None, Protocol::Lmtp) => Err(replies::LHLO_FIRST),
        }
    }

    pub(super) fn ask(&mut self, event: Event, question: Question) {
        self.events.push_back(event);
        self.phase = Phase::Asked(question);
    }

    /// Refuses a command, and the peer itself when it makes too many errors.
    pub(super) fn refuse_line(&mut self, line: Bytes, reply: Reply) {
        let line = line.slice(..line.len().min(LOGGED_MAX));
        if self.is_one_too_many(&reply) {
            self.events.push_back(Event::Refused { line, reply: replies::TOO_MANY_ERRORS });
            return self.too_many_errors();
        }
        self.say(&reply);
        self.events.push_back(Event::Refused { line, reply });
    }

    /// Lets the rest of a pipelined group be refused without counting it as errors: the client sent it before
    /// it could know.
    pub(super) fn excuse_group(&mut self) {
        self.excused = self.config.max_recipients + 2;
    }

    /// Counts an error. Refusals for a limit are none, nor is what only follows from an earlier refusal in a
    /// pipelined group.
    pub(super) fn is_one_too_many(&mut self, reply: &Reply) -> bool {
        match reply.code().number() {
            503 if self.excused > 0 => self.excused -= 1,
            500..=504 | 530 | 538 | 550 | 553 | 555 => self.errors += 1,
            _ => {}
        }
        self.errors > self.config.max_errors
    }
}

/// How much of a refused line the log is told, in octets.
const LOGGED_MAX: usize = 512;

/// How many commands a session may give that lead to no message, before one is accepted. Postfix allows as many
/// (`smtpd_junk_command_limit`).
const IDLE_COMMANDS_MAX: u32 = 100;
