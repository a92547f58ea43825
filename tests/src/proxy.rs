//! A proxy in front of a server: plain or with TLS in front, and one that can be cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

/// Certificates of a server and of a client, by one authority of their own.
pub struct Certificates {
    /// The authority, in PEM.
    pub ca: String,
    /// The client's certificate, in PEM.
    pub client: String,
    /// The client's key, in PEM.
    pub client_key: String,
    server: String,
    server_key: String,
}

impl Certificates {
    /// New ones, for a server of this name.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn new(name: &str) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
        let issuer = Issuer::new(ca, ca_key);
        let signed = |usage| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            (certificate.pem(), key.serialize_pem())
        };
        let (server, server_key) = signed(ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = signed(ExtendedKeyUsagePurpose::ClientAuth);
        Self {
            ca: ca_pem,
            client,
            client_key,
            server,
            server_key,
        }
    }

    /// A server that speaks HTTP/2 and asks for the client's certificate.
    fn acceptor(&self) -> TlsAcceptor {
        let certificate =
            |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca)).expect("an authority");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .expect("a verifier");
        let key = PrivateKeyDer::from_pem_slice(self.server_key.as_bytes()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate(&self.server)], key)
            .expect("a server");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A proxy. It ends when it is dropped.
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    cut: watch::Sender<bool>,
    /// Whether it is cut by now.
    is_cut: watch::Receiver<bool>,
    taken: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Passes bytes on to this address, `host:port`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn to(target: &str) -> Self {
        Self::start(target, None).await
    }

    /// The same, with TLS in front.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn with_tls(target: &str, certificates: &Certificates) -> Self {
        Self::start(target, Some(certificates.acceptor())).await
    }

    async fn start(target: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (cut, mut asked) = watch::channel(false);
        let (done, is_cut) = watch::channel(false);
        let taken: Arc<AtomicU64> = Arc::default();
        let (count, target) = (Arc::clone(&taken), target.to_owned());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok(()) = asked.changed() => {
                        let is_cut = *asked.borrow_and_update();
                        if is_cut {
                            connections.shutdown().await;
                        }
                        done.send_replace(is_cut);
                    }
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        // A server that is away: closed at once.
                        if *done.borrow() {
                            continue;
                        }
                        let (target, tls, count) = (target.clone(), tls.clone(), Arc::clone(&count));
                        connections.spawn(async move {
                            match tls {
                                None => pass_on(client, &target, &count).await,
                                Some(tls) => {
                                    if let Ok(client) = tls.accept(client).await {
                                        pass_on(client, &target, &count).await;
                                    }
                                }
                            }
                        });
                    }
                }
            }
        });
        Self {
            addr,
            cut,
            is_cut,
            taken,
            _serving: serving,
        }
    }

    /// Closes all connections, and each new one at once, until `cut` is false again. It is so when this ends.
    ///
    /// # Panics
    /// When the proxy ended.
    pub async fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
        let mut is_cut = self.is_cut.clone();
        let done = is_cut.wait_for(|is_cut| *is_cut == cut).await;
        done.expect("the proxy goes on");
    }

    /// Connections that were taken, with TLS those whose certificate was good.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

async fn pass_on(mut client: impl AsyncRead + AsyncWrite + Unpin, target: &str, count: &AtomicU64) {
    count.fetch_add(1, Ordering::SeqCst);
    if let Ok(mut server) = TcpStream::connect(target).await {
        let _closed = copy_bidirectional(&mut client, &mut server).await;
    }
}
