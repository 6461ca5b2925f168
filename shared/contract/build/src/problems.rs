//! Problems of a contract and their places.

use std::fmt;

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, ExtensionDescriptor, FieldDescriptor, FileDescriptor,
    MessageDescriptor, MethodDescriptor, OneofDescriptor, ServiceDescriptor,
};

use crate::Error;

/// All problems, in the order of discovery.
#[derive(Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Adds a problem of the declaration at `place`.
    pub(crate) fn add(&mut self, place: &(impl Place + ?Sized), what: impl fmt::Display) {
        self.0.push(format!("  {}: {what}", place.place()));
    }

    pub(crate) fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Contract(self.0)) }
    }
}

/// A declaration in a .proto file.
pub(crate) trait Place {
    /// Returns the place: `shop/user/v1/user.proto:17:3: shop.user.v1.UserService.GetUser`.
    fn place(&self) -> String;

    /// Returns the leading comment, unchanged.
    fn comment(&self) -> String {
        String::new()
    }
}

macro_rules! places {
    ($($descriptor:ty),*) => {$(
        impl Place for $descriptor {
            fn place(&self) -> String {
                place(&self.parent_file(), self.path(), self.full_name())
            }

            fn comment(&self) -> String {
                comment(&self.parent_file(), self.path())
            }
        }
    )*};
}

places!(
    EnumDescriptor,
    EnumValueDescriptor,
    ExtensionDescriptor,
    FieldDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor
);

impl Place for FileDescriptor {
    fn place(&self) -> String {
        self.name().to_owned()
    }
}

/// An option of a file.
pub(crate) struct OptionPlace {
    file: FileDescriptor,
    number: i32,
}

impl OptionPlace {
    /// Creates the place of the option with this number.
    pub(crate) fn new(file: &FileDescriptor, number: i32) -> Self {
        Self { file: file.clone(), number }
    }

    /// Returns the name of the file.
    pub(crate) fn file(&self) -> &str {
        self.file.name()
    }
}

impl Place for OptionPlace {
    fn place(&self) -> String {
        // FileDescriptorProto.options is field 8.
        position(&self.file, &[8, self.number])
    }
}

fn place(file: &FileDescriptor, path: &[i32], name: &str) -> String {
    format!("{}: {name}", position(file, path))
}

fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|i| &i.location);
    let mut comments =
        locations.filter(|l| l.path == path).filter_map(|l| l.leading_comments.clone());
    comments.next().unwrap_or_default()
}

/// Returns the file's name, with line and column if they are known.
fn position(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|i| &i.location);
    // The path of an option continues into the fields of its message.
    let span = locations.filter(|l| l.path.starts_with(path)).map(|l| l.span.as_slice()).next();
    match span {
        Some([line, column, ..]) => format!("{}:{}:{}", file.name(), line + 1, column + 1),
        _ => file.name().to_owned(),
    }
}
