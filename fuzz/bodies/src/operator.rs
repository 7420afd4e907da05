//! What an operator or the program itself wrote: settings, a list of users, bans, and what goes over the administration's socket.

use server::abuse::ban_file;
use server::admin::{self, Frame};
use server::settings::{Settings, SettingsError, users};
use std::path::{Path, PathBuf};

/// A settings file. Holds: no panic; what is wrong is shown at a place that the file has; what is right has somewhere to listen.
pub fn settings(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let host_name = smtp::Domain::parse("mx.example").expect("a domain");
    match Settings::parse(Path::new("posthaste.toml"), text, host_name, PathBuf::from("/data")) {
        Ok(settings) => assert!(!settings.listeners.is_empty()),
        Err(SettingsError::Wrong(wrong)) => {
            let line = text.split('\n').nth(wrong.line - 1).expect("the line is there");
            assert!(wrong.column <= line.chars().count() + 1, "{wrong}");
            assert!(wrong.to_string().starts_with("posthaste.toml:"));
        }
        Err(other) => panic!("{other}"),
    }
}

/// A users file: what is read can be written, one address a line, and read again.
pub fn users(input: &[u8]) {
    let file = Path::new("users.txt");
    match users::parse(file, input) {
        Ok(users) => {
            assert!(!users.is_empty());
            let written: Vec<String> = users.iter().map(|user| format!("{user}\n")).collect();
            let again = users::parse(file, written.concat().as_bytes());
            assert_eq!(again.expect("it is what was read"), users);
        }
        Err(error) => assert!(error.to_string().starts_with("users.txt:"), "{error}"),
    }
}

/// A file of bans: what is read can be written and read again.
pub fn bans(input: &[u8]) {
    if let Ok(bans) = ban_file::parse(input) {
        let written = serde_json::to_vec(&bans).expect("bans can be written");
        assert_eq!(ban_file::parse(&written).expect("it is what was read"), bans);
    }
}

/// Frames of the administration's socket: as requests and as answers. Holds: no panic; what is read can be written and read again.
pub fn admin(input: &[u8]) {
    crate::edge::run(async {
        let mut from = input;
        while let Ok(Some(request)) = admin::read_request(&mut from).await {
            let mut written = Vec::new();
            admin::write_request(&mut written, &request).await.expect("memory takes it");
            let again = admin::read_request(&mut &written[..]).await.expect("it is what was read");
            assert_eq!(again, Some(request));
        }
        let mut from = input;
        while let Ok(Some(frame)) = admin::read_answer(&mut from).await {
            let mut written = Vec::new();
            admin::write_answer(&mut written, &frame).await.expect("memory takes it");
            let again = admin::read_answer(&mut &written[..]).await.expect("it is what was read");
            assert_eq!(again.as_ref(), Some(&frame));
            if let Frame::Content(bytes) = frame {
                assert!(bytes.len() < input.len());
            }
        }
    });
}
