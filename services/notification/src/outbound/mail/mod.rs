//! Ways out for mails: an SMTP server, or the log.

mod classify;
mod letter;
mod log;
mod settings;
mod smtp;

pub use self::{
    letter::{InvalidSender, Sender},
    log::LogMailer,
    settings::{From, MailSettings, Security, SmtpSettings, Transport},
    smtp::{InvalidSmtp, SmtpMailer},
};
