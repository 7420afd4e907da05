//! HTML as plain text, for mail that has nothing else to show. It reads tags and entities, nothing is fetched, run or laid out.

/// The text of an HTML document, at most `max` bytes: blocks on lines of their own, list items with a star, the address of a link
/// after its text. Scripts, styles and the head are left out.
pub fn to_text(html: &str, max: usize) -> String {
    let mut writer = Writer { text: String::new(), newlines: 2, space: false, preformatted: 0 };
    let mut link = None;
    let mut rest = html;
    while let Some(&first) = rest.as_bytes().first() {
        if writer.text.len() >= max {
            break;
        }
        if first != b'<' {
            let end = rest.find('<').unwrap_or(rest.len());
            writer.words(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let Some((tag, after)) = Tag::parse(rest) else {
            writer.words("<");
            rest = &rest[1..];
            continue;
        };
        rest = after;
        if is_hidden(&tag.name) && !tag.closing {
            rest = after_closing(rest, &tag.name);
        } else if tag.name == "a" {
            end_link(&mut writer, link.take());
            if !tag.closing {
                link = tag.attribute("href").map(|href| (href, writer.text.len()));
            }
        } else {
            writer.tag(&tag);
        }
    }
    end_link(&mut writer, link);
    let mut end = writer.text.len().min(max);
    while !writer.text.is_char_boundary(end) {
        end -= 1;
    }
    writer.text.truncate(end);
    writer.text.trim_end().to_owned()
}

/// Writes where a link leads, unless its text says so itself. What opens no page (`mailto:`, `#part`, `javascript:`) is left out.
fn end_link(writer: &mut Writer, link: Option<(String, usize)>) {
    let Some((href, start)) = link else { return };
    let leads_somewhere = href.starts_with("http://") || href.starts_with("https://");
    if leads_somewhere && writer.text.get(start..).is_some_and(|text| text.trim() != href) {
        writer.words(&format!(" <{}>", href.replace('&', "&amp;")));
    }
}

/// One tag. Comments and declarations are tags without a name.
struct Tag<'a> {
    name: String,
    closing: bool,
    attributes: &'a str,
}

impl Tag<'_> {
    /// The tag that this text starts with, and what follows it; `None` when the `<` starts none.
    fn parse(text: &str) -> Option<(Tag<'_>, &str)> {
        if let Some(comment) = text.strip_prefix("<!--") {
            let rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            return Some((Tag { name: String::new(), closing: false, attributes: "" }, rest));
        }
        let inner = &text[1..];
        let (closing, inner) = match inner.strip_prefix('/') {
            Some(inner) => (true, inner),
            None => (false, inner),
        };
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!' || c == '?') {
            return None;
        }
        let end = tag_end(inner);
        let rest = inner.get(end + 1..).unwrap_or("");
        let inner = &inner[..end];
        let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
        let name = inner[..name_end].to_ascii_lowercase();
        Some((Tag { name, closing, attributes: &inner[name_end..] }, rest))
    }

    /// The decoded value of an attribute (its name in lower case).
    fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(rest.len());
            if end == 0 && !rest.starts_with('=') {
                return None;
            }
            let found = rest[..end].eq_ignore_ascii_case(name);
            rest = rest[end..].trim_ascii_start();
            let Some(value) = rest.strip_prefix('=') else { continue };
            let value = value.trim_ascii_start();
            let (value, after) = match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
                None => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
            };
            if found {
                return Some(decode_entities(value.trim()));
            }
            rest = after;
        }
    }
}

/// Where the `>` of a tag stands that is not within quotes; the end of the text when there is none.
fn tag_end(inner: &str) -> usize {
    let mut quote = None;
    for (place, byte) in inner.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return place,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    // an apostrophe that nothing closes must not swallow the document
    inner.find('>').unwrap_or(inner.len())
}

/// What follows the closing tag of `name`; nothing when there is none.
fn after_closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(start) = rest.find("</") {
        rest = &rest[start + 2..];
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}

fn is_hidden(name: &str) -> bool {
    matches!(name, "head" | "script" | "style" | "title" | "template" | "noscript")
}

struct Writer {
    text: String,
    /// How many line endings the text ends with; never more than two.
    newlines: usize,
    /// White space was read that no word follows yet.
    space: bool,
    preformatted: usize,
}

impl Writer {
    fn tag(&mut self, tag: &Tag<'_>) {
        match tag.name.as_str() {
            "br" => self.line((self.newlines + 1).min(2)),
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "ul" | "ol" | "table" | "hr" => {
                self.line(2)
            }
            "pre" => {
                self.line(2);
                self.preformatted = match tag.closing {
                    true => self.preformatted.saturating_sub(1),
                    false => self.preformatted + 1,
                };
            }
            "li" if !tag.closing => {
                self.line(1);
                self.words("* ");
            }
            "div" | "tr" | "li" | "section" | "article" | "header" | "footer" | "dt" | "dd" | "body" => {
                self.line(1)
            }
            "td" | "th" => self.space = true,
            _ => {}
        }
    }

    /// Ends the line, so that the text ends with this many line endings.
    fn line(&mut self, newlines: usize) {
        while self.newlines < newlines {
            self.text.push('\n');
            self.newlines += 1;
        }
        self.space = false;
    }

    fn words(&mut self, text: &str) {
        for c in decode_entities(text).chars() {
            if c == '\r' {
                continue;
            }
            if self.preformatted > 0 && c == '\n' {
                self.text.push('\n');
                (self.newlines, self.space) = ((self.newlines + 1).min(2), false);
            } else if c.is_whitespace() && c != '\u{a0}' && self.preformatted == 0 {
                self.space = true;
            } else {
                if self.space && self.newlines == 0 {
                    self.text.push(' ');
                }
                self.text.push(if c == '\u{a0}' { ' ' } else { c });
                (self.newlines, self.space) = (0, false);
            }
        }
    }
}

/// `&amp;`, `&#228;`, `&#xe4;` and the names that mail uses; what is unknown stays as it is.
fn decode_entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(MAX_ENTITY).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(rest.get(1..end)?)?, end))) {
            Some((c, end)) => {
                decoded.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32).filter(|&c| c != '\0');
    }
    NAMED.iter().find(|(known, _)| *known == name).map(|&(_, c)| c)
}

const MAX_ENTITY: usize = 12;
const NAMED: [(&str, char); 32] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("euro", '€'),
    ("pound", '£'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("bull", '•'),
    ("middot", '·'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("agrave", 'à'),
];
