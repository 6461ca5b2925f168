//! Composition of the service. The only file that names adapters.

use std::sync::Arc;

use gantry_process::{Base, Callee, Migrations, OpenError, System};
use gantry_proto::CONTRACT;
use gantry_server::ServerBuilder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    application::{Mailer, Pace, Ports, SendMail, Sender},
    outbound::{
        clients::UserClient,
        mail::{self, LogMailer, MailSettings, SmtpMailer, Transport},
        sql::{ENDED, MIGRATIONS, SqlJobs},
    },
    settings::{SenderSettings, Settings},
};

/// Notification service: the sender of its mails.
#[derive(Debug)]
pub struct Service {
    jobs: SqlJobs,
    stop: CancellationToken,
    sender: JoinSet<()>,
}

impl Service {
    /// Returns the written mails.
    pub fn jobs(&self) -> &SqlJobs {
        &self.jobs
    }
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "notification";
    const ABOUT: &'static str = "Mails users what happened";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const CALLS: &'static [Callee] = &[Callee::new("user", &CONTRACT)];
    const MIGRATIONS: Option<&'static Migrations> = Some(&MIGRATIONS);
    type Settings = Settings;

    /// Opens the service and begins to send the mails that wait.
    async fn open(base: &Base, settings: Settings) -> Result<Self, OpenError> {
        let database = base.database()?;
        let jobs = SqlJobs::open(database.clone()).await;
        let jobs = jobs.map_err(OpenError::service("cannot open the mails"))?;
        let shop = settings.mail.from.name.clone();
        let ports = Ports {
            jobs: Arc::new(jobs.clone()),
            users: Arc::new(UserClient::new(base.channel("user")?, Self::NAME)),
            mailer: mailer(base, settings.mail)?,
        };
        let pace = pace(&settings.sender);
        let send = SendMail::new(ports, pace, shop);
        let sender = Sender::new(send, pace, gantry_telemetry::join_trace);
        base.spawn(ENDED.keep_running(database, || gantry_contract::Clock::now(&System)));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(sender.run(stop.clone().cancelled_owned()));
        Ok(Self { jobs, stop, sender: tasks })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server
    }

    /// Claims no more mails, and waits for those that are being sent. The next start sends the others.
    async fn close(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.sender.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the sender of mails was cut off");
            }
        }
    }
}

fn mailer(base: &Base, settings: MailSettings) -> Result<Arc<dyn Mailer>, OpenError> {
    match settings.transport {
        Transport::Log => Ok(Arc::new(LogMailer)),
        Transport::Smtp => {
            let from = settings.from;
            let sender = mail::Sender::new(&from.name, &from.address)
                .map_err(OpenError::service("mail.from"))?;
            let smtp = SmtpMailer::new(settings.smtp, sender, base.clock());
            Ok(Arc::new(smtp.map_err(OpenError::service("mail"))?))
        }
    }
}

fn pace(settings: &SenderSettings) -> Pace {
    Pace {
        parallel: settings.parallel.try_into().unwrap_or(usize::MAX),
        poll: settings.poll,
        lease: settings.lease,
        retry_min: settings.retry_min,
        retry_max: settings.retry_max,
        give_up_after: settings.give_up_after,
    }
}
