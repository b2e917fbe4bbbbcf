//! Every operation on every instruction set against the reference, and the same result in every company.

mod attention;
mod elementwise;
mod linear;
mod repacked;
mod support;
