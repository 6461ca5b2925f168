//! Reading of .proto files into a descriptor pool.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use prost_reflect::{DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor};
use prost_types::FileDescriptorSet;
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};

use crate::Error;

/// Files that every contract can import without a copy of its own.
const EMBEDDED: &[(&str, &str)] = &[
    (
        "gantry/contract/v1/options.proto",
        include_str!("../../proto/gantry/contract/v1/options.proto"),
    ),
    ("buf/validate/validate.proto", include_str!("../../third_party/buf/validate/validate.proto")),
    ("google/type/money.proto", include_str!("../../third_party/google/type/money.proto")),
    (
        "google/type/postal_address.proto",
        include_str!("../../third_party/google/type/postal_address.proto"),
    ),
];

/// Packages without generated code.
pub(crate) const NOT_GENERATED: &[&str] =
    &["google.protobuf", "buf.validate", "gantry.contract.v1"];

/// A contract that was read.
pub(crate) struct Sources {
    /// All descriptors, imports included.
    pub(crate) pool: DescriptorPool,
    /// All files with comments, for prost.
    pub(crate) set: FileDescriptorSet,
    /// All files, encoded with all options and without comments, for reflection.
    pub(crate) encoded: Vec<u8>,
    /// Paths of the files read.
    pub(crate) paths: Vec<PathBuf>,
}

impl Sources {
    /// Returns the files with generated code, imported files first.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileDescriptor> + '_ {
        self.pool.files().filter(|file| is_generated(file.package_name()))
    }

    /// Returns the messages of these files, nested ones included.
    pub(crate) fn messages(&self) -> Vec<MessageDescriptor> {
        fn collect(message: MessageDescriptor, all: &mut Vec<MessageDescriptor>) {
            // Map entries have no Rust type.
            if !message.is_map_entry() {
                all.push(message.clone());
                message.child_messages().for_each(|child| collect(child, all));
            }
        }
        let mut all = Vec::new();
        for file in self.files() {
            file.messages().for_each(|message| collect(message, &mut all));
        }
        all
    }

    /// Returns the enums of these files, nested ones included.
    pub(crate) fn enums(&self) -> Vec<EnumDescriptor> {
        let top = self.files().flat_map(|file| file.enums().collect::<Vec<_>>());
        let messages = self.messages();
        let nested = messages.iter().flat_map(MessageDescriptor::child_enums);
        top.chain(nested).collect()
    }
}

/// Returns true if code is generated for the package.
pub(crate) fn is_generated(package: &str) -> bool {
    !NOT_GENERATED.contains(&package)
}

/// Reads the files and their imports.
pub(crate) fn read(
    files: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Sources, Error> {
    let mut compiler = Compiler::with_file_resolver(resolver(includes));
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files).map_err(invalid)?;

    let set = compiler.file_descriptor_set();
    let paths = compiler.files().filter_map(|file| file.path()).map(Path::to_owned).collect();
    let pool = compiler.descriptor_pool();
    let encoded = compiler.include_source_info(false).encode_file_descriptor_set();
    Ok(Sources { pool, set, encoded, paths })
}

/// Returns a resolver for the includes and the embedded files.
pub(crate) fn resolver(includes: &[impl AsRef<Path>]) -> ChainFileResolver {
    let mut resolver = ChainFileResolver::new();
    for include in includes {
        resolver.add(IncludeFileResolver::new(include.as_ref().to_owned()));
    }
    resolver.add(Embedded);
    resolver.add(GoogleFileResolver::new());
    resolver
}

/// Formats all errors of a file, one per line.
pub(crate) fn invalid(error: protox::Error) -> Error {
    // Use `Debug`: unlike `Display`, it names the place, except at the end of the file.
    let mut first = format!("{error:?}");
    if let Some(file) = error.file().filter(|file| !first.contains(*file)) {
        first = format!("{file}: {first}");
    }
    let mut lines = vec![first + &more(&error)];
    for related in error.related().into_iter().flatten() {
        let place = place(&error, related).unwrap_or_default();
        lines.push(format!("{place}{related}{}", more(related)));
    }
    Error::Proto(lines.join("\n"))
}

/// Returns the place of a related error: `t.proto:6:27: `.
fn place(error: &protox::Error, related: &dyn Diagnostic) -> Option<String> {
    // If there are two labels, the last one is the place of the error.
    let label = related.labels()?.last()?;
    let at = error.source_code()?.read_span(label.inner(), 0, 0).ok()?;
    Some(format!("{}:{}:{}: ", error.file()?, at.line() + 1, at.column() + 1))
}

/// Returns the cause and the help text of an error, if there are any.
fn more(error: &dyn Diagnostic) -> String {
    let source = error.diagnostic_source().map(|source| format!(": {source}"));
    let help = error.help().map(|help| format!(" ({help})"));
    source.unwrap_or_default() + &help.unwrap_or_default()
}

struct Embedded;

impl FileResolver for Embedded {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match EMBEDDED.iter().find(|(embedded, _)| *embedded == name) {
            Some((_, source)) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
