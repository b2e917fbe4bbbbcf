mod builder;
mod convert;
mod layouts;
mod metadata;
mod reader;
mod rope;
mod tokenizer;
