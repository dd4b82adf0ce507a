//! Events, as a stream that the server sends.

use super::{
    Api,
    answer::{ApiError, query_list},
};
use crate::beacon::BeaconEvent;
use axum::{
    extract::{RawQuery, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::stream::{self, Stream};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
    mpsc::{self, error::TrySendError},
};

/// Events that wait for a client that does not read.
const MAX_WAITING_EVENTS: usize = 64;

pub(super) async fn events(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let topics = query_list(query.as_deref(), "topics")?;
    if topics.is_empty() {
        return Err(ApiError::bad_request("no topics are given"));
    }
    if let Some(unknown) =
        topics.iter().find(|topic| !BeaconEvent::TOPICS.contains(&topic.as_str()))
    {
        let unknown: String = unknown.chars().take(64).collect();
        return Err(ApiError::bad_request(format!("topic {unknown} is not known")));
    }
    let permit = Arc::clone(&api.listeners).try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::unavailable("too many clients listen to events"))?;
    let (sender, receiver) = mpsc::channel(MAX_WAITING_EVENTS);
    tokio::spawn(feed(api.view.subscribe(), topics, sender, permit));
    let stream = stream::unfold(receiver, async |mut receiver| {
        let event = receiver.recv().await?;
        Some((Ok(event), receiver))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// Passes events on until the client is gone or too slow, and then lets go of its place.
async fn feed(
    mut events: broadcast::Receiver<BeaconEvent>,
    topics: Vec<String>,
    client: mpsc::Sender<Event>,
    _place: OwnedSemaphorePermit,
) {
    loop {
        let received = tokio::select! {
            received = events.recv() => received,
            () = client.closed() => return,
        };
        let is_too_slow = match received {
            Ok(event) if topics.iter().any(|topic| topic == event.topic()) => {
                let told = Event::default().event(event.topic()).data(event.to_json().to_string());
                matches!(client.try_send(told), Err(TrySendError::Full(_)))
            }
            Ok(_) => false,
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return,
        };
        if is_too_slow {
            tracing::warn!("disconnected a client that was too slow for events");
            return;
        }
    }
}
