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
use tokio::sync::broadcast::error::RecvError;

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
    let receiver = api.view.subscribe();
    let stream =
        stream::unfold((receiver, topics, permit), async |(mut receiver, topics, permit)| {
            loop {
                match receiver.recv().await {
                    Ok(event) if topics.iter().any(|topic| topic == event.topic()) => {
                        let sent =
                            Event::default().event(event.topic()).data(event.to_json().to_string());
                        return Some((Ok(sent), (receiver, topics, permit)));
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(
                            missed,
                            "disconnected a client that was too slow for events"
                        );
                        return None;
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
