//! Puts handlers into a module.

use crate::{Args, Context, RpcChain, RpcResult, deadline::Deadline};
use jsonrpsee::{Methods, RpcModule, core::RegisterMethodError, types::Params};
use serde::Serialize;
use std::sync::Arc;

/// A handler: reads its parameters and answers.
pub(crate) type Handler<C, T> = fn(&Context<C>, &mut Args<'_>) -> RpcResult<T>;

/// The methods of one namespace while they are put together.
pub(crate) struct Registrar<C: RpcChain> {
    module: RpcModule<Context<C>>,
    error: Option<RegisterMethodError>,
}

impl<C: RpcChain> Registrar<C> {
    pub(crate) fn new(context: &Arc<Context<C>>) -> Self {
        Self { module: RpcModule::from_arc(context.clone()), error: None }
    }

    /// A method that reads a little and is done in microseconds: it runs where the request was
    /// received.
    pub(crate) fn read<T: Serialize + Clone + Send + 'static>(
        &mut self,
        name: &'static str,
        handler: Handler<C, T>,
    ) -> &mut Self {
        let added = self.module.register_method(name, move |params, context, _| {
            let mut args = Args::new(&params)?;
            let answer = handler(context, &mut args)?;
            args.end()?;
            RpcResult::Ok(answer)
        });
        self.error = self.error.take().or(added.err());
        self
    }

    /// A method that executes, or reads much: it waits for a worker.
    pub(crate) fn work<T: Serialize + Clone + Send + 'static>(
        &mut self,
        name: &'static str,
        handler: Handler<C, T>,
    ) -> &mut Self {
        self.task(name, move |context, params| async move {
            work_handler(context, params, handler).await
        })
    }

    /// A method that waits for something.
    pub(crate) fn task<T, F>(
        &mut self,
        name: &'static str,
        handler: impl Fn(Arc<Context<C>>, Params<'static>) -> F + Clone + Send + Sync + 'static,
    ) -> &mut Self
    where
        T: Serialize + Clone + Send + 'static,
        F: Future<Output = RpcResult<T>> + Send + 'static,
    {
        let added = self
            .module
            .register_async_method(name, move |params, context, _| handler(context, params));
        self.error = self.error.take().or(added.err());
        self
    }

    /// The module itself, for subscriptions.
    pub(crate) fn module(&mut self) -> &mut RpcModule<Context<C>> {
        &mut self.module
    }

    /// Notes why a subscription could not be added.
    pub(crate) fn note(&mut self, error: Option<RegisterMethodError>) -> &mut Self {
        self.error = self.error.take().or(error);
        self
    }

    /// The finished methods.
    ///
    /// # Errors
    /// When two methods have the same name.
    pub(crate) fn finish(&mut self) -> Result<Methods, RegisterMethodError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self.module.clone()),
        }
    }
}

/// Runs a handler on a worker, for as long as the request may take and somebody waits for it.
pub(crate) async fn work_handler<C: RpcChain, T: Send + 'static>(
    context: Arc<Context<C>>,
    params: Params<'static>,
    handler: Handler<C, T>,
) -> RpcResult<T> {
    let (deadline, _waiter) = Deadline::after(context.settings.limits.request_timeout);
    let workers = context.workers.clone();
    let run = move || {
        let mut args = Args::new(&params)?.until(deadline.clone());
        let answer = deadline.judge(handler(&context, &mut args))?;
        args.end()?;
        Ok(answer)
    };
    workers.run(run).await
}

/// Runs a handler with all of its parameters.
pub(crate) fn run_handler<C: RpcChain, T>(
    context: &Context<C>,
    params: &Params<'_>,
    handler: Handler<C, T>,
) -> RpcResult<T> {
    let mut args = Args::new(params)?;
    let answer = handler(context, &mut args)?;
    args.end()?;
    Ok(answer)
}
