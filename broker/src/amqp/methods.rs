//! Every method of AMQP 0-9-1 and of RabbitMQ's extensions to it, from one table.

use super::arguments::*;
use super::decode::peek_method_id;
use super::error::DecodeError;
use super::reader::Reader;

/// What the table says about a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodInfo {
    pub class: u16,
    pub method: u16,
    /// Such as `queue`.
    pub class_name: &'static str,
    /// Such as `declare-ok`.
    pub name: &'static str,
    /// Names and elementary domains in the order of the wire. Fields the specification reserves are called
    /// `reserved`.
    pub fields: &'static [(&'static str, &'static str)],
    /// The sender waits for a reply (unless it sets no-wait).
    pub synchronous: bool,
    /// A content header and body follow.
    pub has_content: bool,
}

/// A method's table row is
/// `Variant: Struct = method-id "name" flags { [reserved domain] field: domain, ...; reserved domains at the end }`.
macro_rules! methods {
    ($(
        class $class:ident = $class_id:literal {
            $(
                $variant:ident: $method:ident = $method_id:literal $name:literal $($flag:ident)* {
                    $( $([$before:ty])* $field:ident: $domain:ty ),*
                    $(; $($after:ty),+ )?
                }
            )*
        }
    )*) => {
        $(
            #[doc = concat!("Class `", stringify!($class), "`.")]
            pub mod $class {
                use super::*;
                $(
                    methods!(@struct concat!("`", stringify!($class), ".", $name, "`"),
                        $method { $($field: $domain),* });

                    impl $method {
                        #[allow(unused_variables, reason = "some methods have no arguments")]
                        pub(super) fn read(arguments: &mut ArgumentReader<'_>) -> Result<$method, DecodeError> {
                            $(
                                $( <$before as Argument>::read(arguments)?; )*
                                let $field = <$domain as Argument>::read(arguments)?;
                            )*
                            $( $( <$after as Argument>::read(arguments)?; )+ )?
                            Ok($method { $($field),* })
                        }

                        #[allow(unused_variables, reason = "some methods have no arguments")]
                        pub(super) fn write(&self, arguments: &mut ArgumentWriter<'_>) {
                            $(
                                $( Argument::write(&<$before>::default(), arguments); )*
                                Argument::write(&self.$field, arguments);
                            )*
                            $( $( Argument::write(&<$after>::default(), arguments); )+ )?
                        }
                    }

                    impl From<$method> for Method {
                        fn from(method: $method) -> Method {
                            Method::$variant(method)
                        }
                    }
                )*
            }
        )*

        /// Any method.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Method {
            $($( $variant($class::$method), )*)*
        }

        impl Method {
            /// Decodes the payload of a method frame.
            ///
            /// # Errors
            /// [`DecodeError::UnknownMethod`], or what is wrong with the arguments. They must fill the payload
            /// exactly.
            pub fn decode(payload: &[u8]) -> Result<Method, DecodeError> {
                let ids = peek_method_id(payload).ok_or(DecodeError::Truncated)?;
                let mut arguments = ArgumentReader::new(Reader::new(&payload[4..]));
                let method = match ids {
                    $($(
                        ($class_id, $method_id) => Method::$variant($class::$method::read(&mut arguments)?),
                    )*)*
                    (class, method) => return Err(DecodeError::UnknownMethod { class, method }),
                };
                arguments.finish()?;
                Ok(method)
            }

            /// Appends the payload of a method frame: class id, method id and arguments.
            pub fn encode(&self, out: &mut Vec<u8>) {
                let (class, method) = self.id();
                out.extend_from_slice(&class.to_be_bytes());
                out.extend_from_slice(&method.to_be_bytes());
                let mut arguments = ArgumentWriter::new(out);
                match self {
                    $($( Method::$variant(method) => method.write(&mut arguments), )*)*
                }
            }

            /// Class id and method id.
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $($( Method::$variant(_) => ($class_id, $method_id), )*)*
                }
            }

            /// Such as `queue.declare-ok`.
            pub fn name(&self) -> &'static str {
                match self {
                    $($( Method::$variant(_) => concat!(stringify!($class), ".", $name), )*)*
                }
            }
        }

        /// The table itself.
        pub const METHODS: &[MethodInfo] = &[
            $($(
                MethodInfo {
                    class: $class_id,
                    method: $method_id,
                    class_name: stringify!($class),
                    name: $name,
                    fields: &[
                        $(
                            $( ("reserved", <$before as Argument>::DOMAIN), )*
                            (stringify!($field), <$domain as Argument>::DOMAIN),
                        )*
                        $( $( ("reserved", <$after as Argument>::DOMAIN), )+ )?
                    ],
                    $( $flag: true, )*
                    ..MethodInfo::PLAIN
                },
            )*)*
        ];
    };

    (@struct $doc:expr, $method:ident {}) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $method;
    };

    (@struct $doc:expr, $method:ident { $($field:ident: $domain:ty),+ }) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $method {
            $( pub $field: $domain, )+
        }
    };
}

impl MethodInfo {
    const PLAIN: MethodInfo = MethodInfo {
        class: 0,
        method: 0,
        class_name: "",
        name: "",
        fields: &[],
        synchronous: false,
        has_content: false,
    };
}

methods! {
    class connection = 10 {
        ConnectionStart: Start = 10 "start" synchronous {
            version_major: Octet, version_minor: Octet, server_properties: Table, mechanisms: LongStr,
            locales: LongStr
        }
        ConnectionStartOk: StartOk = 11 "start-ok" {
            client_properties: Table, mechanism: ShortStr, response: LongStr, locale: ShortStr
        }
        ConnectionSecure: Secure = 20 "secure" synchronous { challenge: LongStr }
        ConnectionSecureOk: SecureOk = 21 "secure-ok" { response: LongStr }
        ConnectionTune: Tune = 30 "tune" synchronous { channel_max: Short, frame_max: Long, heartbeat: Short }
        ConnectionTuneOk: TuneOk = 31 "tune-ok" { channel_max: Short, frame_max: Long, heartbeat: Short }
        ConnectionOpen: Open = 40 "open" synchronous { virtual_host: ShortStr; ShortStr, Bit }
        ConnectionOpenOk: OpenOk = 41 "open-ok" {; ShortStr }
        ConnectionClose: Close = 50 "close" synchronous {
            reply_code: Short, reply_text: ShortStr, class_id: Short, method_id: Short
        }
        ConnectionCloseOk: CloseOk = 51 "close-ok" {}
        ConnectionBlocked: Blocked = 60 "blocked" { reason: ShortStr }
        ConnectionUnblocked: Unblocked = 61 "unblocked" {}
        ConnectionUpdateSecret: UpdateSecret = 70 "update-secret" synchronous {
            new_secret: LongStr, reason: ShortStr
        }
        ConnectionUpdateSecretOk: UpdateSecretOk = 71 "update-secret-ok" {}
    }

    class channel = 20 {
        ChannelOpen: Open = 10 "open" synchronous {; ShortStr }
        ChannelOpenOk: OpenOk = 11 "open-ok" {; LongStr }
        ChannelFlow: Flow = 20 "flow" synchronous { active: Bit }
        ChannelFlowOk: FlowOk = 21 "flow-ok" { active: Bit }
        ChannelClose: Close = 40 "close" synchronous {
            reply_code: Short, reply_text: ShortStr, class_id: Short, method_id: Short
        }
        ChannelCloseOk: CloseOk = 41 "close-ok" {}
    }

    class access = 30 {
        AccessRequest: Request = 10 "request" synchronous {
            realm: ShortStr, exclusive: Bit, passive: Bit, active: Bit, write: Bit, read: Bit
        }
        AccessRequestOk: RequestOk = 11 "request-ok" { ticket: Short }
    }

    class exchange = 40 {
        ExchangeDeclare: Declare = 10 "declare" synchronous {
            [Short] exchange: ShortStr, kind: ShortStr, passive: Bit, durable: Bit, auto_delete: Bit,
            internal: Bit, no_wait: Bit, arguments: Table
        }
        ExchangeDeclareOk: DeclareOk = 11 "declare-ok" {}
        ExchangeDelete: Delete = 20 "delete" synchronous {
            [Short] exchange: ShortStr, if_unused: Bit, no_wait: Bit
        }
        ExchangeDeleteOk: DeleteOk = 21 "delete-ok" {}
        ExchangeBind: Bind = 30 "bind" synchronous {
            [Short] destination: ShortStr, source: ShortStr, routing_key: ShortStr, no_wait: Bit,
            arguments: Table
        }
        ExchangeBindOk: BindOk = 31 "bind-ok" {}
        ExchangeUnbind: Unbind = 40 "unbind" synchronous {
            [Short] destination: ShortStr, source: ShortStr, routing_key: ShortStr, no_wait: Bit,
            arguments: Table
        }
        ExchangeUnbindOk: UnbindOk = 51 "unbind-ok" {}
    }

    class queue = 50 {
        QueueDeclare: Declare = 10 "declare" synchronous {
            [Short] queue: ShortStr, passive: Bit, durable: Bit, exclusive: Bit, auto_delete: Bit,
            no_wait: Bit, arguments: Table
        }
        QueueDeclareOk: DeclareOk = 11 "declare-ok" {
            queue: ShortStr, message_count: Long, consumer_count: Long
        }
        QueueBind: Bind = 20 "bind" synchronous {
            [Short] queue: ShortStr, exchange: ShortStr, routing_key: ShortStr, no_wait: Bit,
            arguments: Table
        }
        QueueBindOk: BindOk = 21 "bind-ok" {}
        QueuePurge: Purge = 30 "purge" synchronous { [Short] queue: ShortStr, no_wait: Bit }
        QueuePurgeOk: PurgeOk = 31 "purge-ok" { message_count: Long }
        QueueDelete: Delete = 40 "delete" synchronous {
            [Short] queue: ShortStr, if_unused: Bit, if_empty: Bit, no_wait: Bit
        }
        QueueDeleteOk: DeleteOk = 41 "delete-ok" { message_count: Long }
        QueueUnbind: Unbind = 50 "unbind" synchronous {
            [Short] queue: ShortStr, exchange: ShortStr, routing_key: ShortStr, arguments: Table
        }
        QueueUnbindOk: UnbindOk = 51 "unbind-ok" {}
    }

    class basic = 60 {
        BasicQos: Qos = 10 "qos" synchronous { prefetch_size: Long, prefetch_count: Short, global: Bit }
        BasicQosOk: QosOk = 11 "qos-ok" {}
        BasicConsume: Consume = 20 "consume" synchronous {
            [Short] queue: ShortStr, consumer_tag: ShortStr, no_local: Bit, no_ack: Bit, exclusive: Bit,
            no_wait: Bit, arguments: Table
        }
        BasicConsumeOk: ConsumeOk = 21 "consume-ok" { consumer_tag: ShortStr }
        BasicCancel: Cancel = 30 "cancel" synchronous { consumer_tag: ShortStr, no_wait: Bit }
        BasicCancelOk: CancelOk = 31 "cancel-ok" { consumer_tag: ShortStr }
        BasicPublish: Publish = 40 "publish" has_content {
            [Short] exchange: ShortStr, routing_key: ShortStr, mandatory: Bit, immediate: Bit
        }
        BasicReturn: Return = 50 "return" has_content {
            reply_code: Short, reply_text: ShortStr, exchange: ShortStr, routing_key: ShortStr
        }
        BasicDeliver: Deliver = 60 "deliver" has_content {
            consumer_tag: ShortStr, delivery_tag: LongLong, redelivered: Bit, exchange: ShortStr,
            routing_key: ShortStr
        }
        BasicGet: Get = 70 "get" synchronous { [Short] queue: ShortStr, no_ack: Bit }
        BasicGetOk: GetOk = 71 "get-ok" has_content {
            delivery_tag: LongLong, redelivered: Bit, exchange: ShortStr, routing_key: ShortStr,
            message_count: Long
        }
        BasicGetEmpty: GetEmpty = 72 "get-empty" {; ShortStr }
        BasicAck: Ack = 80 "ack" { delivery_tag: LongLong, multiple: Bit }
        BasicReject: Reject = 90 "reject" { delivery_tag: LongLong, requeue: Bit }
        BasicRecoverAsync: RecoverAsync = 100 "recover-async" { requeue: Bit }
        BasicRecover: Recover = 110 "recover" synchronous { requeue: Bit }
        BasicRecoverOk: RecoverOk = 111 "recover-ok" {}
        BasicNack: Nack = 120 "nack" { delivery_tag: LongLong, multiple: Bit, requeue: Bit }
    }

    class tx = 90 {
        TxSelect: Select = 10 "select" synchronous {}
        TxSelectOk: SelectOk = 11 "select-ok" {}
        TxCommit: Commit = 20 "commit" synchronous {}
        TxCommitOk: CommitOk = 21 "commit-ok" {}
        TxRollback: Rollback = 30 "rollback" synchronous {}
        TxRollbackOk: RollbackOk = 31 "rollback-ok" {}
    }

    class confirm = 85 {
        ConfirmSelect: Select = 10 "select" synchronous { no_wait: Bit }
        ConfirmSelectOk: SelectOk = 11 "select-ok" {}
    }
}
