//! `Shape` of every message that may take much more memory than its encoded bytes: a message with
//! lists or maps, or one that contains itself.

use std::collections::{BTreeMap, HashSet};

use proc_macro2::{Ident, TokenStream};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use quote::{format_ident, quote};

use super::{
    field::{FieldRules, Ignore},
    value::unwrapped,
};
use crate::{
    names,
    options::Fields,
    sources::{Sources, is_generated},
};

/// Memory of a map entry besides its key and value: its share of a tree node.
const ENTRY: usize = 16;

/// Generator of shapes.
pub(super) struct Shapes<'a> {
    sources: &'a Sources,
    /// Generated statics, by the message's full name and `checked`.
    statics: BTreeMap<(String, bool), Ident>,
    /// Code of the statics.
    pub(super) code: TokenStream,
}

impl<'a> Shapes<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, statics: BTreeMap::new(), code: TokenStream::new() }
    }

    /// Returns the path of the message's shape. None if it needs none. `checked` is true if the
    /// rules of the message are checked.
    pub(super) fn of(&mut self, message: &MessageDescriptor, checked: bool) -> Option<TokenStream> {
        if let Some(shape) = google(message) {
            return Some(shape);
        }
        if !is_generated(message.package_name()) || !grows(message) {
            return None;
        }
        let key = (message.full_name().to_owned(), checked);
        if let Some(made) = self.statics.get(&key) {
            return Some(quote!(#made));
        }
        let name = format_ident!("SHAPE_{}", self.statics.len());
        // Insert the name before reading the fields, because one of them may be the message itself.
        self.statics.insert(key, name.clone());
        let fields: Vec<_> =
            message.fields().filter_map(|field| self.field(&field, checked)).collect();
        self.code.extend(quote! {
            static #name: Shape = Shape { fields: &[#(#fields),*] };
        });
        Some(quote!(#name))
    }

    fn field(&mut self, field: &FieldDescriptor, checked: bool) -> Option<TokenStream> {
        let rules = FieldRules::find(self.sources, field).unwrap_or_default();
        let checked = checked && rules.ignore != Some(Ignore::Always);
        let typed = rules.typed.as_ref().map(|(_, rules)| rules).filter(|_| checked);
        let most = |name| typed.and_then(|rules| rules.set(name)?.as_u64());
        let ignores = |part| {
            let part = typed.and_then(|rules| rules.message(part));
            part.is_some_and(|part| FieldRules::read(&part).ignore == Some(Ignore::Always))
        };
        let (size, most, packed, message) = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
                let (key, value) = (key.kind(), value.kind());
                let (key, size) = (memory(&key), memory(&value));
                let nested = self.nested(&value, checked && !ignores("values"));
                let nested = nested.map(|nested| {
                    let value = code(2, &quote!(0), None, None, Some(&nested));
                    quote!(Shape { fields: &[#value] })
                });
                (quote!(#key + #size + #ENTRY), most("max_pairs"), None, nested)
            }
            kind if field.is_list() => {
                let nested = self.nested(&kind, checked && !ignores("items"));
                (memory(&kind), most("max_items"), packed(&kind), nested)
            }
            kind => {
                let nested = self.nested(&kind, checked)?;
                // prost allocates a message that contains itself on the heap, and any other inline.
                let boxed = matches!(&kind, Kind::Message(message) if reaches(message, message));
                let size = if boxed { memory(&kind) } else { quote!(0) };
                (size, None, None, Some(nested))
            }
        };
        Some(code(field.number(), &size, most, packed, message.as_ref()))
    }

    fn nested(&mut self, kind: &Kind, checked: bool) -> Option<TokenStream> {
        match kind {
            Kind::Message(message) => self.of(message, checked),
            _ => None,
        }
    }
}

fn code(
    number: u32,
    size: &TokenStream,
    most: Option<u64>,
    packed: Option<TokenStream>,
    message: Option<&TokenStream>,
) -> TokenStream {
    let most = most.and_then(|most| u32::try_from(most).ok());
    let most = most.map_or_else(|| quote!(None), |most| quote!(Some(#most)));
    let packed = packed.map_or_else(|| quote!(None), |packed| quote!(Some(Packed::#packed)));
    let message = message.map_or_else(|| quote!(None), |message| quote!(Some(&#message)));
    quote! {
        Field {
            number: #number,
            size: #size,
            max_items: #most,
            packed: #packed,
            message: #message,
        }
    }
}

/// Returns the shapes of Google's messages, which `gantry_contract` defines.
fn google(message: &MessageDescriptor) -> Option<TokenStream> {
    Some(match message.full_name() {
        "google.protobuf.FieldMask" => quote!(shape::FIELD_MASK),
        "google.protobuf.Struct" => quote!(shape::STRUCT),
        "google.protobuf.Value" => quote!(shape::VALUE),
        "google.protobuf.ListValue" => quote!(shape::LIST_VALUE),
        _ => return None,
    })
}

/// Returns true if the message, or a message in it, has a list or a map or contains itself.
fn grows(message: &MessageDescriptor) -> bool {
    let mut within = HashSet::from([message.full_name().to_owned()]);
    let mut open = vec![message.clone()];
    while let Some(next) = open.pop() {
        for field in next.fields() {
            if field.is_list() || field.is_map() {
                return true;
            }
            if let Kind::Message(nested) = field.kind() {
                if google(&nested).is_some() || reaches(&nested, &nested) {
                    return true;
                }
                if within.insert(nested.full_name().to_owned()) {
                    open.push(nested);
                }
            }
        }
    }
    false
}

/// Returns true if `message` contains `target`, directly or indirectly.
fn reaches(message: &MessageDescriptor, target: &MessageDescriptor) -> bool {
    let mut within = HashSet::new();
    let mut open = vec![message.clone()];
    while let Some(next) = open.pop() {
        for field in next.fields() {
            let Kind::Message(nested) = field.kind() else { continue };
            if nested == *target {
                return true;
            }
            if within.insert(nested.full_name().to_owned()) {
                open.push(nested);
            }
        }
    }
    false
}

/// Returns the memory of a value in a list or map, in bytes.
fn memory(kind: &Kind) -> TokenStream {
    match unwrapped(kind) {
        Kind::String | Kind::Bytes => quote!(shape::TEXT),
        Kind::Double
        | Kind::Int64
        | Kind::Uint64
        | Kind::Sint64
        | Kind::Fixed64
        | Kind::Sfixed64 => quote!(8),
        Kind::Bool => quote!(1),
        Kind::Message(message) if message.full_name() == "google.protobuf.Empty" => quote!(0),
        Kind::Message(message) => {
            let message = names::message(&message);
            quote!(::core::mem::size_of::<#message>())
        }
        _ => quote!(4),
    }
}

/// Returns the encoding of a packed list's items. None if the list is not packed.
fn packed(kind: &Kind) -> Option<TokenStream> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => None,
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Some(quote!(Fixed64)),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Some(quote!(Fixed32)),
        _ => Some(quote!(Varint)),
    }
}
