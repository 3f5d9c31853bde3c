//! The HTTP face: OpenAI wire types, server-sent events, keys and limits, metrics.
