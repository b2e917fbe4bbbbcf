//! Buffers for kernels, and comparisons.

use mlxm_metal_host::{
    Bound, Dispatch, Error, Function, Library, Loads, Options, Order, run, run_traced,
};

/// Orders that every kernel must give the same results in.
pub const ORDERS: [Order; 5] = [
    Order::Forward,
    Order::Reverse,
    Order::Random(1),
    Order::Random(2),
    Order::Random(3),
];

/// A library with default options.
pub fn library(source: &str) -> Library {
    Library::compile(source, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The memory of one dispatch.
#[derive(Default)]
pub struct Buffers {
    buffers: Vec<(usize, Vec<u8>)>,
    threadgroup_memory: Vec<(usize, usize)>,
}

impl Buffers {
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a copy of the values.
    pub fn add<T: Copy>(&mut self, index: usize, values: &[T]) {
        // SAFETY: the bytes of plain numbers.
        let bytes = unsafe {
            std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values))
        };
        self.buffers.push((index, bytes.to_vec()));
    }

    /// Binds a copy of the values to the argument with this name.
    pub fn bind<T: Copy>(&mut self, function: &Function, name: &str, values: &[T]) {
        let Some(argument) = function.buffers().find(|argument| argument.name == name) else {
            panic!("no argument `{name}`");
        };
        self.add(argument.index, values);
    }

    pub fn threadgroup_memory(&mut self, index: usize, bytes: usize) {
        self.threadgroup_memory.push((index, bytes));
    }

    pub fn run(
        &mut self,
        function: &Function,
        threadgroups: [usize; 3],
        threads: [usize; 3],
        order: Order,
    ) -> Result<(), Error> {
        let dispatch = self.dispatch(function, threadgroups, threads);
        // SAFETY: the buffers are those of this dispatch alone.
        unsafe { run(&[dispatch], order) }
    }

    /// As `run`; returns what was loaded from each buffer.
    pub fn run_traced(
        &mut self,
        function: &Function,
        threadgroups: [usize; 3],
        threads: [usize; 3],
        order: Order,
    ) -> Vec<Loads> {
        let dispatch = self.dispatch(function, threadgroups, threads);
        // SAFETY: the buffers are those of this dispatch alone.
        unsafe { run_traced(&[dispatch], order) }.unwrap().remove(0)
    }

    fn dispatch<'a>(
        &mut self,
        function: &'a Function,
        threadgroups: [usize; 3],
        threads: [usize; 3],
    ) -> Dispatch<'a> {
        let buffers = self.buffers.iter_mut().map(|(index, bytes)| Bound {
            index: *index,
            pointer: bytes.as_mut_ptr(),
            bytes: bytes.len(),
        });
        Dispatch {
            function,
            buffers: buffers.collect(),
            threadgroup_memory: self.threadgroup_memory.clone(),
            threadgroups,
            threads,
        }
    }

    /// The contents of a buffer.
    pub fn read<T: Copy>(&self, index: usize) -> Vec<T> {
        let Some((_, bytes)) = self.buffers.iter().find(|(other, _)| *other == index) else {
            panic!("no buffer {index}");
        };
        // SAFETY: the bytes were written from values of such a type, and allocations are aligned for numbers.
        let values = unsafe {
            std::slice::from_raw_parts(bytes.as_ptr().cast::<T>(), bytes.len() / size_of::<T>())
        };
        values.to_vec()
    }
}
