//! `PollFlightInfo`: an object that may still be in the making.
//!
//! Answers at once. What is there is complete; what somebody is writing is not, and the answer has
//! a descriptor to ask again with.

use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use sheaf_store::{Kind, State};
use tonic::{Code, Status};

use super::hint::Hint;
use super::info;
use crate::door::Door;
use crate::names;

pub(super) async fn poll(
    door: &Door,
    hint: &Hint,
    descriptor: FlightDescriptor,
) -> Result<PollInfo, Status> {
    let wanted = names::wanted(&descriptor)?;
    let missing = match info::of(door, hint, wanted.clone()).await {
        Ok(info) => {
            return Ok(PollInfo { info: Some(info), progress: Some(1.0), ..PollInfo::default() });
        }
        Err(status) if status.code() == Code::NotFound => status,
        Err(status) => return Err(status),
    };
    let name = names::of_text(&wanted.name)?;
    let is_draft = door.ask(move |client| match client.info(&name, false) {
        Ok(info) => Ok(info.state == State::Draft),
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    });
    if !is_draft.await? {
        return Err(missing);
    }
    let so_far = FlightInfo::new().with_descriptor(descriptor.clone());
    Ok(PollInfo { info: Some(so_far), flight_descriptor: Some(descriptor), ..PollInfo::default() })
}
