mod builder;
mod convert;
mod reader;
mod rope;
mod tokenizer;
