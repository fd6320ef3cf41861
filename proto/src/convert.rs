//! Model to messages and back: the only file that knows both.
