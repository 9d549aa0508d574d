//! Whether a server does what the bus needs of it.

use std::time::Duration;

use redis::{ConnectionInfo, PushInfo, PushKind, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::link::{ANSWER, connect};
use crate::{Address, Error, Namespace, Result};

/// Publishes a message and hears it: the time between the two. Of a cluster the first node that
/// answers is taken.
///
/// # Errors
/// The fault of the last node that was tried.
pub async fn probe(address: &Address, namespace: &Namespace, id: Uuid) -> Result<Duration> {
    let mut result = Err(Error::Url {
        fault: "a host is missing".to_owned(),
    });
    for (node, place) in address.nodes() {
        result = probe_node(node, &place, namespace, &format!("verify.{id}")).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Listens as the bus does: a user may be allowed exactly that.
async fn probe_node(
    node: &ConnectionInfo,
    place: &str,
    namespace: &Namespace,
    subject: &str,
) -> Result<Duration> {
    let channel = namespace.channel(subject);
    let (sender, mut heard) = mpsc::channel(1);
    let hear = {
        let own = Value::BulkString(channel.clone().into_bytes());
        move |push: PushInfo| {
            let is_own = push.kind == PushKind::PMessage && push.data.get(1) == Some(&own);
            if is_own || push.kind == PushKind::Disconnection {
                sender.try_send(push.kind)
            } else {
                Ok(())
            }
        }
    };
    let mut connection = connect(node, place, hear, &namespace.everything()).await?;
    let begun = Instant::now();
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(&channel).arg("");
    let exchange = async {
        publish.exec_async(&mut connection).await?;
        Ok(heard.recv().await)
    };
    match timeout(ANSWER, exchange).await {
        Ok(Ok(Some(PushKind::PMessage))) => Ok(begun.elapsed()),
        Ok(Ok(_)) => Err(Error::Unreachable {
            place: place.to_owned(),
            fault: "the connection ended".to_owned(),
        }),
        Ok(Err(error)) => Err(Error::of(place, &error)),
        Err(_) => Err(Error::TooSlow {
            place: place.to_owned(),
            seconds: ANSWER.as_secs(),
        }),
    }
}
