//! The desktop application, asked as its page asks it.

mod bindings;
mod hostile;
mod kit;
mod owner;
