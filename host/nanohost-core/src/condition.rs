//! The condition language of guards and of policy `require`: lexer, parser, evaluator.
//! Knows names only through [`Scope`].
