//! Arguments by position or by name.

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Error, ErrorKind, Value};

/// The arguments of a function with parameters of these names. None is the same as absent.
pub(in crate::template) fn arguments<const N: usize>(
    args: Rest<ValueOrKwargs>,
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    let mut positional = args.into_values();
    let kwargs = match positional.pop_if(|last| last.is_kwargs()) {
        Some(kwargs) => Kwargs::try_from(kwargs)?,
        None => Kwargs::from_iter(Vec::<(String, Value)>::new()),
    };
    if positional.len() > N {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut positional = positional.into_iter();
    let mut found = [const { None }; N];
    for (slot, name) in found.iter_mut().zip(names) {
        let given = match positional.next() {
            Some(value) => Some(value),
            None => kwargs.get::<Option<Value>>(name)?,
        };
        *slot = given.filter(|value| !value.is_none() && !value.is_undefined());
    }
    kwargs.assert_all_used()?;
    Ok(found)
}
