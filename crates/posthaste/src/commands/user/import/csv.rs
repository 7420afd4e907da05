//! Comma-separated values (RFC 4180): fields in quotes may hold commas, line breaks, and quotes written twice.

/// One record and the line that it begins on, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: usize,
    pub(super) fields: Vec<String>,
}

/// Reads records; empty lines are passed over. The error names the line.
pub(super) fn parse(text: &str) -> Result<Vec<Record>, (usize, &'static str)> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let mut records = Vec::new();
    while reader.rest.peek().is_some() {
        let line = reader.line;
        let fields = reader.record()?;
        if fields != [""] {
            records.push(Record { line, fields });
        }
    }
    Ok(records)
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn record(&mut self) -> Result<Vec<String>, (usize, &'static str)> {
        let mut fields = Vec::new();
        loop {
            let field = match self.rest.next_if_eq(&'"') {
                Some(_) => self.quoted()?,
                None => self.plain()?,
            };
            fields.push(field);
            match self.rest.next() {
                Some(',') => {}
                Some('\n') => {
                    self.line += 1;
                    return Ok(fields);
                }
                None => return Ok(fields),
                Some(_) => {
                    return Err((
                        self.line,
                        "something follows a closing quote; write a quote inside a field twice",
                    ));
                }
            }
        }
    }

    /// The rest of a field that began with a quote.
    fn quoted(&mut self) -> Result<String, (usize, &'static str)> {
        let begun = self.line;
        let mut field = String::new();
        loop {
            match self.rest.next() {
                Some('"') if self.rest.next_if_eq(&'"').is_some() => field.push('"'),
                Some('"') => break,
                Some(c) => {
                    self.line += usize::from(c == '\n');
                    field.push(c);
                }
                None => return Err((begun, "a quoted field is not closed")),
            }
        }
        self.rest.next_if_eq(&'\r');
        Ok(field)
    }

    fn plain(&mut self) -> Result<String, (usize, &'static str)> {
        let mut field = String::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, ',' | '\n')) {
            if c == '"' {
                return Err((
                    self.line,
                    "a quote inside a field: put the whole field in quotes, and this one twice",
                ));
            }
            field.push(c);
        }
        if field.ends_with('\r') {
            field.pop();
        }
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, Vec<String>)> {
        let records = parse(text).expect("well-formed");
        records.into_iter().map(|record| (record.line, record.fields)).collect()
    }

    fn record(line: usize, fields: &[&str]) -> (usize, Vec<String>) {
        (line, fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn fields_are_taken_apart() {
        assert_eq!(
            read("a,b\r\n\r\n\"x, \"\"y\"\"\",\n\"two\nlines\",z\r\nlast,\"\"\r\n"),
            [
                record(1, &["a", "b"]),
                record(3, &["x, \"y\"", ""]),
                record(4, &["two\nlines", "z"]),
                record(6, &["last", ""]),
            ]
        );
        assert_eq!(read("one"), [record(1, &["one"])]);
        assert_eq!(read("a,"), [record(1, &["a", ""])]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (text, line) in
            [("a\n\"b", 2), ("a\n\"b\nc", 2), ("a\n\"b\"c", 2), ("a\"b", 1), ("\"a\nb\"\nc\"", 3)]
        {
            assert_eq!(parse(text).expect_err(text).0, line, "{text:?}");
        }
    }
}
