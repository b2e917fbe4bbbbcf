//! Argument structures of kernels.

/// Declares the structure that a kernel takes as `[[buffer(0)]]`, in the order of the Metal source. All members have four
/// bytes, so that there is no padding.
macro_rules! kernel_args {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$member_meta:meta])* $member:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default)]
        struct $name {
            $($(#[$member_meta])* $member: $type,)*
        }

        impl $name {
            /// The bytes of the structure.
            fn to_bytes(self) -> Vec<u8> {
                let mut bytes = Vec::new();
                $(bytes.extend_from_slice(&self.$member.to_ne_bytes());)*
                bytes
            }

            /// The declaration in the Metal source: a type and a name for each member.
            #[cfg(test)]
            fn members() -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($type), stringify!($member))),*]
            }
        }
    };
}

pub(super) use kernel_args;

/// The members of a structure in Metal source, with the types of Rust.
///
/// # Panics
/// If the structure is not there or has a member of another type.
#[cfg(test)]
pub(super) fn members_in_source<'a>(source: &'a str, name: &str) -> Vec<(&'static str, &'a str)> {
    let (_, rest) = source.split_once(&format!("struct {name} {{")).unwrap();
    let (body, _) = rest.split_once("};").unwrap();
    let lines = body.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .map(|line| {
            let (of_metal, member) = line.strip_suffix(';').unwrap().split_once(' ').unwrap();
            let of_rust = match of_metal {
                "uint" => "u32",
                "int" => "i32",
                "float" => "f32",
                other => panic!("{name} has a member of type {other}"),
            };
            (of_rust, member)
        })
        .collect()
}
