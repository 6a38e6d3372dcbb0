//! What the shell asks the books about single objects.

use super::Room;
use super::ids::{ClientId, ObjectId, Place};
use crate::error::Result;
use crate::object::{Info, ObjectKind};

impl Room {
    /// What is known of an object that is in the books.
    #[must_use]
    pub fn known(&self, object: ObjectId) -> Option<Info> {
        let entry = self.objects.get(&object)?;
        Some(self.describe(object, entry, false))
    }

    /// The kind of a client's small draft, or `None` when the draft is large.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when it is not this client's draft.
    pub fn small_draft(&self, client: ClientId, object: ObjectId) -> Result<Option<ObjectKind>> {
        let entry = self.own_draft(client, object)?;
        Ok((!entry.large).then_some(entry.kind))
    }

    /// Where an object lies that this client holds.
    #[must_use]
    pub fn held_place(&self, client: ClientId, object: ObjectId) -> Option<Place> {
        self.clients.get(&client)?.holds.get(&object)?;
        self.location(object)
    }
}
