//! Any bytes at the near door: frames are cut or refused, messages are understood or refused, and
//! what is understood says the same when it is said again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sheaf_store::protocol::frame;
use sheaf_store::protocol::message::{Reply, Request};

fuzz_target!(|data: &[u8]| {
    let mut received = BytesMut::from(data);
    while let Ok(Some(frame)) = frame::take(&mut received) {
        if let Ok(request) = Request::take(frame.code, frame.body.clone()) {
            let mut again = Vec::new();
            request.put(&mut again);
            assert_eq!(Request::take(request.code(), again.into()).unwrap(), request);
        }
        if let Ok(reply) = Reply::take(frame.code, frame.body) {
            // An unknown error kind becomes `internal`, so only the form is the same.
            let mut again = Vec::new();
            reply.put(&mut again);
            assert!(Reply::take(reply.code(), again.into()).is_ok());
        }
    }
});
