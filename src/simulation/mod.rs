//! The product over in-memory fakes, deterministically: what fakes and tests share.

pub mod probe;
