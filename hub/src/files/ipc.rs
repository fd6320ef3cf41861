//! Arrow IPC: the rows as they are.

use super::{FileSubject, RowWriter, Sink, failed};
use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use ukimet_model::Result;

pub(super) fn file(sink: Sink, subject: &FileSubject) -> Result<Box<dyn RowWriter>> {
    FileWriter::try_new(sink, &subject.schema).map_err(failed).map(|writer| Box::new(writer) as _)
}

pub(super) fn stream(sink: Sink, subject: &FileSubject) -> Result<Box<dyn RowWriter>> {
    StreamWriter::try_new(sink, &subject.schema).map_err(failed).map(|writer| Box::new(writer) as _)
}

impl RowWriter for FileWriter<Sink> {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        FileWriter::write(self, rows).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        FileWriter::finish(&mut self).map_err(failed)?;
        self.get_mut().flush().map_err(failed)
    }
}

impl RowWriter for StreamWriter<Sink> {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        StreamWriter::write(self, rows).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        StreamWriter::finish(&mut self).map_err(failed)?;
        self.get_mut().flush().map_err(failed)
    }
}
