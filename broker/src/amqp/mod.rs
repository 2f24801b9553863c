//! The AMQP 0-9-1 codec: bytes in, values out. Pure: no sockets, no clock, no state.
//!
//! Method frames are described by one table (`methods`). The methods of the hot path (publish, deliver,
//! acknowledgements) also have hand-written forms in `decode` and `encode` that never allocate.
//! Content properties travel as raw bytes and are read lazily (`properties`).
//!
//! Nothing here panics on input, and nothing buffers: what is decoded borrows from the frame.

mod arguments;
mod content;
mod decode;
mod encode;
mod error;
mod frame;
mod methods;
mod octets;
mod properties;
mod reader;
mod reply_code;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod version;

pub use content::{
    CONTENT_HEADER_SIZE, ContentHeader, body_frame_max, content_size, header_frame_size, whole_content,
    write_body_frame_start, write_content, write_content_header,
};
pub use decode::{PublishArgs, decode_ack, decode_publish, peek_method_id, split_publish};
pub use encode::{write_ack, write_deliver, write_get_ok, write_nack, write_return};
pub use error::{DecodeError, FrameError};
pub use frame::{
    FRAME_END, FRAME_HEADER_SIZE, FRAME_MIN_SIZE, FRAME_OVERHEAD, FRAME_SIZE_LEEWAY, Frame, FrameKind,
    bad_end_of_body_frame, begun_body_frame, next_frame, write_frame, write_heartbeat, write_method,
};
pub use methods::{
    METHODS, Method, MethodInfo, access, basic, channel, confirm, connection, exchange, queue, tx,
};
pub use octets::{Octets, Preview};
pub use properties::{BasicProperties, Properties, Property};
pub use reader::{Reader, put_long_str, put_short_str, short_prefix};
pub use reply_code::ReplyCode;
pub use table::{MAX_TABLE_DEPTH, check_table, decode_table, encode_table, view_table};
pub use types::{FieldTable, FieldValue, FieldView, TableView};
pub use version::{PROTOCOL_HEADER, Version};
