//! Sessions: of a cookie, or of the connection.
//!
//! A client that keeps cookies has its session wherever it connects from; another one has it as
//! long as its connection lasts.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow_flight::Action;
use http::{HeaderMap, HeaderValue};
use prost::Message;
use sheaf_store::Kind;
use sheaf_store::sql::{CATALOG, Door, Engine, PUBLIC, Session};
use tonic::Status;

use super::shelf::Owner;
use super::wire::{
    CloseSessionResult, OptionValue, SessionOptions, SetError, SetSessionOptions,
    SetSessionOptionsResult,
};
use super::{Asker, Sql};

/// The cookie's name, as the specification of Flight has it.
const COOKIE: &str = "arrow_flight_session_id";

/// The session of one connection, begun when it is needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat(Arc<OnceLock<Arc<dyn Session>>>);

impl Seat {
    pub(super) fn session(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Session> {
        self.0.get_or_init(|| engine.session(Door::Far)).clone()
    }
}

/// The session that a call's cookies name.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(http::header::COOKIE).iter();
    let texts = cookies.filter_map(|cookie| cookie.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Some(value.trim().trim_matches('"').to_owned())
}

impl Sql {
    /// Sets options of the asker's session. Who has no cookie yet is given one.
    pub(super) fn set_options(
        &self,
        asker: &Asker,
        action: &Action,
    ) -> Result<(Vec<u8>, Option<HeaderValue>), Status> {
        let request = SetSessionOptions::decode(&action.body[..]).map_err(unsound)?;
        let mut errors = HashMap::new();
        for (name, value) in request.options {
            // What tools set on every connection: there is one catalog, and it is this one.
            let fixed = [("catalog", CATALOG), ("schema", PUBLIC)];
            let told = value.text();
            if fixed.iter().any(|(known, only)| *known == name && told.as_deref() == Some(only)) {
                continue;
            }
            if let Err(error) = asker.session.set(&name, told.as_deref()) {
                tracing::info!(%name, %error, "an option was not set");
                let value = if error.kind() == Kind::Invalid { 2 } else { 1 };
                errors.insert(name, SetError { value });
            }
        }
        let known =
            asker.cookie.as_ref().is_some_and(|id| self.sessions.get(id.as_bytes()).is_some());
        let cookie = (!known).then(|| {
            let id = self.sessions.put(Owner::of(&asker.session), asker.session.clone());
            format!("{COOKIE}={}; HttpOnly", String::from_utf8_lossy(&id)).parse().ok()
        });
        Ok((SetSessionOptionsResult { errors }.encode_to_vec(), cookie.flatten()))
    }

    /// The options that were set.
    pub(super) fn options(asker: &Asker) -> Vec<u8> {
        let settings = asker.session.settings().into_iter();
        let options = settings.map(|(name, value)| (name, OptionValue::of(value))).collect();
        SessionOptions { options }.encode_to_vec()
    }

    /// Ends the asker's session.
    pub(super) fn close_session(&self, asker: &Asker) -> Vec<u8> {
        if let Some(cookie) = &asker.cookie {
            self.sessions.remove(cookie.as_bytes());
        }
        for (name, _) in asker.session.settings() {
            // It was set, so it can be set back.
            let _ = asker.session.set(&name, None);
        }
        CloseSessionResult { status: 1 }.encode_to_vec()
    }
}

pub(super) fn unsound(error: prost::DecodeError) -> Status {
    Status::invalid_argument(format!("the action's body is not sound: {error}"))
}
