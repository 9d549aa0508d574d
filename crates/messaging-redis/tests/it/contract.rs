//! The rules of the port, on one bus and through the server.

mod alone {
    use crate::support::{bus_at, server, settings};
    use async_trait::async_trait;
    use fusion_messaging::{Bus, Pattern, QueueLimits, Subject, Subscription};
    use fusion_messaging_redis::{RedisBus, Settings};
    use fusion_testkit::Redis;
    use std::sync::Arc;

    /// A bus with its server, which lives as long.
    #[derive(Debug)]
    struct Alone {
        bus: RedisBus,
        _server: Redis,
    }

    impl Alone {
        fn new(queues: QueueLimits) -> Self {
            let server = server();
            let settings = Settings {
                queues,
                ..settings()
            };
            Self {
                bus: bus_at(&server.url(), settings, 1),
                _server: server,
            }
        }
    }

    #[async_trait]
    impl Bus for Alone {
        fn publish(&self, subject: &Subject, payload: Arc<[u8]>) {
            self.bus.publish(subject, payload);
        }

        async fn subscribe(&self, pattern: &Pattern) -> Subscription {
            self.bus.subscribe(pattern).await
        }
    }

    fusion_messaging::bus_conformance!(|limits| std::future::ready(Alone::new(limits)));
}

mod through_the_server {
    use crate::support::Pair;

    fusion_messaging::bus_conformance!(|limits| std::future::ready(Pair::new(limits)));
}
