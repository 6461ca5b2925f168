//! Index of encoded descriptors by their declarations.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost::{DecodeError, Message};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

/// Known .proto files, encoded as they were compiled. Decoding them into prost's types and encoding
/// them again would lose custom options.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: Vec<Bytes>,
    by_name: HashMap<String, usize>,
    symbols: HashMap<String, Symbol>,
    /// Files by extended message and extension number.
    extensions: HashMap<String, BTreeMap<i32, usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    file: usize,
    is_message: bool,
}

/// `google.protobuf.FileDescriptorSet` with files that stay encoded.
#[derive(Clone, PartialEq, Message)]
struct EncodedFiles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

impl Index {
    /// Adds the files of an encoded `FileDescriptorSet`. The first file of a name counts.
    ///
    /// # Errors
    /// [`DecodeError`] if the set is malformed.
    pub(super) fn add(&mut self, set: &'static [u8]) -> Result<(), DecodeError> {
        for encoded in EncodedFiles::decode(Bytes::from_static(set))?.file {
            let file = FileDescriptorProto::decode(encoded.clone())?;
            if !self.by_name.contains_key(file.name()) {
                self.add_file(&file, encoded);
            }
        }
        Ok(())
    }

    /// Returns the file of this name.
    pub(super) fn file(&self, name: &str) -> Option<Bytes> {
        self.by_name.get(name).map(|file| self.files[*file].clone())
    }

    /// Returns the file that declares this full name: a service, method, message, field, oneof,
    /// enum, enum value or extension.
    pub(super) fn file_of_symbol(&self, name: &str) -> Option<Bytes> {
        self.symbol(name).map(|symbol| self.files[symbol.file].clone())
    }

    /// Returns the file that declares the extension of this message with this number.
    pub(super) fn file_of_extension(&self, message: &str, number: i32) -> Option<Bytes> {
        let file = self.extensions.get(bare(message))?.get(&number)?;
        Some(self.files[*file].clone())
    }

    /// Returns the numbers of all extensions of this message; None if there is no such message.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        self.symbol(message).filter(|symbol| symbol.is_message)?;
        let extensions = self.extensions.get(bare(message));
        Some(extensions.map(|numbers| numbers.keys().copied().collect()).unwrap_or_default())
    }

    fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(bare(name)).copied()
    }

    fn add_file(&mut self, file: &FileDescriptorProto, encoded: Bytes) {
        let number = self.files.len();
        self.files.push(encoded);
        self.by_name.insert(file.name().to_owned(), number);
        let mut names = Names { index: self, file: number };
        let package = file.package();
        for service in &file.service {
            let name = names.declare(package, service.name());
            for method in &service.method {
                names.declare(&name, method.name());
            }
        }
        file.message_type.iter().for_each(|message| names.message(package, message));
        file.enum_type.iter().for_each(|declared| names.enumeration(package, declared));
        file.extension.iter().for_each(|extension| names.extension(package, extension));
    }
}

/// Strips the leading dot that a full name has within descriptors.
fn bare(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// Collector of the names of one file.
struct Names<'a> {
    index: &'a mut Index,
    file: usize,
}

impl Names<'_> {
    fn declare(&mut self, scope: &str, name: &str) -> String {
        self.add(scope, name, false)
    }

    fn add(&mut self, scope: &str, name: &str, is_message: bool) -> String {
        let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        let symbol = Symbol { file: self.file, is_message };
        self.index.symbols.entry(full.clone()).or_insert(symbol);
        full
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = self.add(scope, message.name(), true);
        for field in &message.field {
            self.declare(&name, field.name());
        }
        for oneof in &message.oneof_decl {
            self.declare(&name, oneof.name());
        }
        message.nested_type.iter().for_each(|nested| self.message(&name, nested));
        message.enum_type.iter().for_each(|declared| self.enumeration(&name, declared));
        message.extension.iter().for_each(|extension| self.extension(&name, extension));
    }

    fn enumeration(&mut self, scope: &str, declared: &EnumDescriptorProto) {
        let name = self.declare(scope, declared.name());
        for value in &declared.value {
            // An enum's values are its siblings, as in C++. Some clients look for them below it.
            self.declare(scope, value.name());
            self.declare(&name, value.name());
        }
    }

    fn extension(&mut self, scope: &str, extension: &FieldDescriptorProto) {
        self.declare(scope, extension.name());
        let extended = bare(extension.extendee()).to_owned();
        let numbers = self.index.extensions.entry(extended).or_default();
        numbers.entry(extension.number()).or_insert(self.file);
    }
}
