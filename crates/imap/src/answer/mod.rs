//! What a server says (RFC 9051 §7), as values that can be written, and in no other way: whatever text is in them, none of it can become
//! more than one string of the answer it belongs to.

mod body;
pub(crate) mod data;
pub(crate) mod encode;
mod fetch;
mod status;

pub use body::{BodyFields, BodyStructure, Disposition, Extension, LeafKind, Parameters};
pub use data::{
    Attribute, Esearch, Found, FoundModSeqs, ListEntry, MailboxData, Namespaces, QuotaResource, StatusValue,
    Threaded, Untagged,
};
pub use encode::{Names, Style};
pub use fetch::{Address, Envelope, FetchData, LiteralName};
pub use status::{Code, Condition, NewKeywords, Status};

pub(crate) use fetch::{begin_literal, write_data};
