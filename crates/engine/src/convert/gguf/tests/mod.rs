mod converting;
mod file;
mod reading;
mod tokenizers;
