//! Who a client is: passwords, tokens and certificates, checked against the directory.

pub mod introspection;
pub mod jwt;
pub mod password;
pub mod pool;
pub mod token;
