//! Dot-stuffed content (RFC 5321 §4.5.2).
