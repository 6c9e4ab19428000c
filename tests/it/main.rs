//! Tests of promises that take more than one module, other people's tools, or a whole process.

mod ssh;
