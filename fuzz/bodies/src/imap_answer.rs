//! The answer to a FETCH, read by the grammar (RFC 9051 §9): nothing is forgiven.

/// What stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// An atom, a number, or the name of an item with its section.
    Word(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Value>),
}

/// The items of the one message in what a server said, with their names. Panics at what is not well formed.
pub(crate) fn items(said: &[u8]) -> Vec<(Vec<u8>, Value)> {
    const BEGIN: &[u8] = b"\r\n* 1 FETCH ";
    let at = said.windows(BEGIN.len()).position(|octets| octets == BEGIN).expect("the message is told");
    let mut reader = Reader(&said[at + BEGIN.len()..]);
    let Value::List(all) = reader.value() else { panic!("a list of items") };
    assert!(reader.0.starts_with(b"\r\nd OK ") || reader.0.starts_with(b"\r\nd NO "), "{}", shown(reader.0));
    assert_eq!(reader.0.iter().filter(|octet| **octet == b'\n').count(), 2, "{}", shown(reader.0));
    assert_eq!(all.len() % 2, 0, "names and values");
    let mut all = all.into_iter();
    let mut items = Vec::new();
    while let (Some(name), Some(value)) = (all.next(), all.next()) {
        let Value::Word(name) = name else { panic!("{name:?} is no name") };
        items.push((name, value));
    }
    items
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn value(&mut self) -> Value {
        match self.0.first().expect("a value") {
            b'(' => self.list(),
            b'"' => self.quoted(),
            b'{' => self.literal(),
            b'~' => {
                self.take(1);
                self.literal()
            }
            _ => self.word(),
        }
    }

    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at_checked(count).expect("it breaks off");
        self.0 = rest;
        taken
    }

    fn list(&mut self) -> Value {
        self.take(1);
        let mut values = Vec::new();
        loop {
            match (self.0.first().expect("the end of a list"), values.last()) {
                (b')', _) => break,
                (_, None) => {}
                // The parts of a multipart stand together.
                (b'(', Some(Value::List(_))) => {}
                (_, Some(_)) => assert_eq!(self.take(1), b" ", "between values"),
            }
            values.push(self.value());
        }
        self.take(1);
        Value::List(values)
    }

    fn quoted(&mut self) -> Value {
        self.take(1);
        let mut text = Vec::new();
        loop {
            match self.take(1) {
                b"\"" => break,
                b"\\" => {
                    let octet = self.take(1)[0];
                    assert!(matches!(octet, b'"' | b'\\'), "{octet} is quoted");
                    text.push(octet);
                }
                octet => {
                    assert!(!matches!(octet, b"\r" | b"\n" | b"\0"), "{octet:?} in a quoted string");
                    text.push(octet[0]);
                }
            }
        }
        assert!(std::str::from_utf8(&text).is_ok(), "{}", shown(&text));
        Value::Text(text)
    }

    fn literal(&mut self) -> Value {
        assert_eq!(self.take(1), b"{");
        let digits = self.0.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let count = std::str::from_utf8(self.take(digits)).expect("digits").parse().expect("a length");
        assert_eq!(self.take(3), b"}\r\n");
        Value::Text(self.take(count).to_vec())
    }

    /// With a section in brackets, in which there may be a list.
    fn word(&mut self) -> Value {
        let mut is_within = false;
        let ends = |octet: &u8| {
            is_within = (is_within || *octet == b'[') && *octet != b']';
            !is_within && matches!(octet, b' ' | b'(' | b')' | b'\r')
        };
        let count = self.0.iter().position(ends).expect("the end of a word");
        let word = self.take(count).to_vec();
        assert!(
            !word.is_empty() && word.iter().all(|octet| matches!(octet, 0x20..=0x7E)),
            "{}",
            shown(&word)
        );
        Value::Word(word)
    }
}

fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(&octets[..octets.len().min(200)]).into_owned()
}

impl Value {
    fn list(&self) -> &[Value] {
        let Value::List(values) = self else { panic!("{self:?} is no list") };
        values
    }

    pub(crate) fn text(&self) -> &[u8] {
        let Value::Text(text) = self else { panic!("{self:?} is no string") };
        text
    }

    fn check_string(&self) {
        self.text();
    }

    pub(crate) fn is_nil(&self) -> bool {
        *self == Value::Word(b"NIL".to_vec())
    }

    fn check_nstring(&self) {
        assert!(self.is_nil() || matches!(self, Value::Text(_)), "{self:?} is neither NIL nor a string");
    }

    fn check_number(&self) {
        let is_number =
            matches!(self, Value::Word(word) if !word.is_empty() && word.iter().all(u8::is_ascii_digit));
        assert!(is_number, "{self:?} is no number");
    }

    /// `envelope`.
    pub(crate) fn check_envelope(&self) {
        let [date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id] = self.list()
        else {
            panic!("{self:?} is no envelope")
        };
        [date, subject, in_reply_to, message_id].into_iter().for_each(Value::check_nstring);
        [from, sender, reply_to, to, cc, bcc].into_iter().for_each(Value::check_addresses);
    }

    fn check_addresses(&self) {
        if self.is_nil() {
            return;
        }
        assert!(!self.list().is_empty(), "NIL stands for no addresses");
        let mut is_in_group = false;
        for address in self.list() {
            address.list().iter().for_each(Value::check_nstring);
            let [_, _, mailbox, host] = address.list() else { panic!("{address:?} is no address") };
            match (mailbox.is_nil(), host.is_nil()) {
                (_, false) => assert!(!mailbox.is_nil(), "{address:?} is nobody's"),
                // RFC 9051 §7.5.2: a group begins or ends; there is none within another.
                (ends, true) => {
                    assert_eq!(ends, is_in_group, "groups: {self:?}");
                    is_in_group = !ends;
                }
            }
        }
        assert!(!is_in_group, "a group does not end: {self:?}");
    }

    /// `body`, for BODYSTRUCTURE with its extensions.
    pub(crate) fn check_body(&self, extended: bool) {
        let values = self.list();
        let parts = values.iter().take_while(|value| matches!(value, Value::List(_))).count();
        if parts > 0 {
            values[..parts].iter().for_each(|part| part.check_body(extended));
            values[parts].check_string();
            let rest = &values[parts + 1..];
            return match extended {
                true => {
                    rest[0].check_parameters();
                    check_extension(&rest[1..]);
                }
                false => assert!(rest.is_empty()),
            };
        }
        let [kind, subtype, parameters, id, description, encoding, size, rest @ ..] = values else {
            panic!("{self:?} is no body")
        };
        let (kind, subtype) = (kind.text().to_ascii_lowercase(), subtype.text().to_ascii_lowercase());
        parameters.check_parameters();
        [id, description].into_iter().for_each(Value::check_nstring);
        encoding.check_string();
        size.check_number();
        let rest = match (&kind[..], &subtype[..], rest) {
            (b"text", _, [lines, rest @ ..]) => {
                lines.check_number();
                rest
            }
            (b"message", b"rfc822" | b"global", [envelope, body, lines, rest @ ..]) => {
                envelope.check_envelope();
                body.check_body(extended);
                lines.check_number();
                rest
            }
            (_, _, rest) => rest,
        };
        match (extended, rest) {
            (true, [md5, extension @ ..]) => {
                md5.check_nstring();
                check_extension(extension);
            }
            (_, rest) => assert!(!extended && rest.is_empty(), "{self:?}"),
        }
    }

    fn check_parameters(&self) {
        if !self.is_nil() {
            let all = self.list();
            assert!(!all.is_empty() && all.len().is_multiple_of(2), "{self:?}: names and values");
            all.iter().for_each(Value::check_string);
        }
    }
}

/// Disposition, language, location.
fn check_extension(values: &[Value]) {
    let [disposition, language, location] = values else { panic!("{values:?} is no extension") };
    if !disposition.is_nil() {
        let [kind, parameters] = disposition.list() else { panic!("{disposition:?} is no disposition") };
        kind.check_string();
        parameters.check_parameters();
    }
    match language {
        Value::List(all) => all.iter().for_each(Value::check_string),
        one => one.check_nstring(),
    }
    location.check_nstring();
}
