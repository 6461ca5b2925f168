//! Export of the contract for clients in other languages and for readers.

use std::io::{self, Write};

use gantry_proto::{REFERENCE, SERVICE_CONFIG};

use crate::cli::ContractPart;

/// Prints a part of the contract to standard output.
///
/// # Errors
/// [`io::Error`] of writing.
pub fn print(part: ContractPart) -> io::Result<()> {
    let text = match part {
        ContractPart::ServiceConfig => SERVICE_CONFIG,
        ContractPart::Reference => REFERENCE,
    };
    io::stdout().lock().write_all(text.as_bytes())
}
