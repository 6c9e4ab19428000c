//! The update graph: which releases there are in a channel, and the ways between them.
