// The end of a task is the end of its work. The generated functions go on when their task is cancelled; these raise a
// token, and the library stops before the next layer of the network.

import Foundation

/// Runs work that a token ends, and raises the token when the task is cancelled.
///
/// - Throws: `CancellationError` when the task was cancelled; else what the work throws.
func endingWithTask<T: Sendable>(_ work: (CancelToken) async throws -> T) async throws -> T {
    let token = CancelToken()
    return try await withTaskCancellationHandler {
        do {
            return try await work(token)
        } catch PocketlensError.Cancelled where token.isCancelled() {
            throw CancellationError()
        }
    } onCancel: {
        token.cancel()
    }
}
