//! Any messages as somebody else's stream: refused, or a file that opens or is refused.
#![no_main]

use arrow_buffer::{Buffer, MutableBuffer};
use libfuzzer_sys::fuzz_target;
use sheaf_ipc::{File, Ingest, Intake, Metadata};

fuzz_target!(|messages: Vec<(Vec<u8>, Vec<u8>)>| {
    let _ = file(&messages);
});

fn file(messages: &[(Vec<u8>, Vec<u8>)]) -> sheaf_ipc::Result<()> {
    let Some(((schema, _), rest)) = messages.split_first() else { return Ok(()) };
    let mut ingest = Ingest::new(schema)?;
    let mut file = part(&ingest.start());
    for (header, body) in rest {
        match ingest.message(header, body.len(), &Metadata::new())? {
            Intake::Placed(place) => {
                let start = file.len();
                assert_eq!(place.offset(), start as u64);
                file.resize(start + place.len(), 0xaa);
                place.start(&mut file[start..]);
                for run in place.runs() {
                    let target = start + run.target;
                    let bytes = &body[run.source..run.source + run.len];
                    file[target..target + run.len].copy_from_slice(bytes);
                }
            }
            Intake::Whole => {
                if let Some(more) = ingest.whole(header, &aligned(body), &Metadata::new())? {
                    file.extend(part(&more));
                }
            }
        }
    }
    file.extend(part(&ingest.finish()?));
    let _ = File::open(aligned(&file));
    Ok(())
}

fn part(part: &sheaf_ipc::Part) -> Vec<u8> {
    let mut bytes = vec![0xaa; part.len()];
    part.fill(&mut bytes);
    bytes
}

fn aligned(bytes: &[u8]) -> Buffer {
    let mut buffer = MutableBuffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer.into()
}
