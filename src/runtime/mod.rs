//! The shell around the core: what acts on several ports at once.
pub mod publish;
pub mod upstream;
