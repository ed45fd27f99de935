//! What commands run in.
