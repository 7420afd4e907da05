//! Why an exchange fails. The texts are for logs; a peer hears the same for all of them.

/// Why an exchange ends without success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A message does not follow the mechanism's grammar.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// A message or a name in it is longer than this crate takes.
    #[error("the message is too long")]
    TooLong,
    /// Server: unknown user, wrong password, token or proof. Which of them is not told apart on purpose.
    #[error("the credentials were refused")]
    Refused,
    /// The two sides do not agree on the channel: other binding data, a type that is not known, or none where one is needed.
    #[error("the channel binding does not match: {0}")]
    ChannelBinding(&'static str),
    /// Server: the client believes that SCRAM-SHA-256-PLUS was not offered, but it was: somebody in between took it out of
    /// the list (RFC 5802 §6).
    #[error("the list of mechanisms was tampered with on its way")]
    Downgrade,
    /// Client: the server asks for too many iterations, or for so few that the proof would give the password away.
    #[error("the server asks for {0} iterations")]
    Iterations(u32),
    /// Client: the server did not prove that it knows the password (RFC 5802 §3), or it changed the nonce.
    #[error("the server did not prove who it is")]
    Server,
    /// Client: the server refused the token; what it said (RFC 7628 §3.2.2), as printable ASCII.
    #[error("the token was refused: {0}")]
    Token(String),
    /// The credentials are not of the kind that the mechanism needs, or hold an octet that it cannot carry.
    #[error("the credentials do not fit the mechanism")]
    Unfit,
    /// A step or an answer came that nobody waits for.
    #[error("out of order")]
    OutOfOrder,
}
