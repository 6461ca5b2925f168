//! Detection of options that exclude each other: members of one oneof.
//!
//! If such options are set one by one, the second silently replaces the first: a rule is lost, or
//! `public` replaces a permission. Therefore this module reads the files again with option types
//! without oneofs, which keep both values, and rejects pairs.

use std::path::Path;

use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use prost_types::{DescriptorProto, FileDescriptorProto};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver},
};

use crate::{
    Error,
    options::message_extension,
    problems::{Place, Problems},
    sources::{self, NOT_GENERATED, Sources},
};

/// Reports options that exclude each other.
///
/// # Errors
/// Only errors of reading the files, which was successful before.
pub(crate) fn check(
    sources: &Sources,
    includes: &[impl AsRef<Path>],
    problems: &mut Problems,
) -> Result<(), Error> {
    let mut compiler = Compiler::with_file_resolver(Apart(sources::resolver(includes)));
    for file in sources.files() {
        compiler.open_file(file.name()).map_err(sources::invalid)?;
    }
    let pool = compiler.descriptor_pool();
    let mut check = |place: &dyn Place, options: DynamicMessage, name: &str, what: &str| {
        if let Some(options) = message_extension(&pool, &options, name) {
            for both in both(sources, &options, "") {
                problems.add(place, format_args!("{both}: a {what} may have only one of them"));
            }
        }
    };
    for message in sources.messages() {
        let apart = pool.get_message_by_name(message.full_name());
        for field in message.fields() {
            if let Some(apart) = apart.as_ref().and_then(|apart| apart.get_field(field.number())) {
                check(&field, apart.options(), "buf.validate.field", "field");
            }
        }
    }
    for service in sources.files().flat_map(|file| file.services().collect::<Vec<_>>()) {
        let apart = pool.get_service_by_name(service.full_name());
        for (method, apart) in service.methods().zip(apart.iter().flat_map(|apart| apart.methods()))
        {
            check(&method, apart.options(), "gantry.contract.v1.policy", "method");
        }
    }
    Ok(())
}

/// Returns the pairs of excluding options: `string.email and string.uri`.
fn both(sources: &Sources, options: &DynamicMessage, within: &str) -> Vec<String> {
    let descriptor = options.descriptor();
    let Some(whole) = sources.pool.get_message_by_name(descriptor.full_name()) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for oneof in whole.oneofs() {
        let given = oneof.fields().filter(|field| options.has_field_by_number(field.number()));
        let given: Vec<_> = given.map(|field| format!("{within}{}", field.name())).collect();
        if given.len() > 1 {
            all.push(given.join(" and "));
        }
    }
    for (field, value) in options.fields() {
        if let Value::Message(nested) = value {
            all.extend(both(sources, nested, &format!("{within}{}.", field.name())));
        }
    }
    all
}

/// Resolver that removes oneofs from the types of options.
struct Apart(ChainFileResolver);

impl FileResolver for Apart {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let file = self.0.open_file(name)?;
        let descriptor = file.file_descriptor_proto();
        if !NOT_GENERATED.contains(&descriptor.package()) {
            return Ok(file);
        }
        let mut descriptor = FileDescriptorProto { source_code_info: None, ..descriptor.clone() };
        descriptor.message_type.iter_mut().for_each(part);
        Ok(File::from_file_descriptor_proto(descriptor))
    }
}

fn part(message: &mut DescriptorProto) {
    message.oneof_decl.clear();
    for field in &mut message.field {
        (field.oneof_index, field.proto3_optional) = (None, None);
    }
    message.nested_type.iter_mut().for_each(part);
}
