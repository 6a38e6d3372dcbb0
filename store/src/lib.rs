//! The room and the near door.
