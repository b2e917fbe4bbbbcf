mod converting;

mod file;
mod reading;
mod rope;
mod tokenizers;
