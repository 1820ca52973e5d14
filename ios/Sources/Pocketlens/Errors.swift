// Errors as Swift reads them.

import Foundation

extension PocketlensError {
    /// What was wrong, and what to do about it: for developers and logs.
    public var reason: String {
        switch self {
        case .BadInput(let reason), .Storage(let reason), .Damaged(let reason), .Incompatible(let reason),
            .Cancelled(let reason), .Internal(let reason):
            reason
        }
    }
}

extension PocketlensError: LocalizedError {
    /// The reason.
    public var errorDescription: String? { reason }
}
