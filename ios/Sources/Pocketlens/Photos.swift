// The calls of an app, with what is mostly left out left out, ending with their task.

import Foundation

extension Lens {
    /// Opens an index with the model that it carries. Every question keeps the limits.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)``, ``PocketlensError/Damaged(reason:)`` or
    ///   ``PocketlensError/Incompatible(reason:)``; ``PocketlensError/BadInput(reason:)`` for limits within which no
    ///   photo could be described.
    public static func open(_ index: URL, limits: Limits = Limits()) async throws -> Lens {
        try await open(path: index.path, limits: limits)
    }

    /// Makes an empty index: a catalogue that grows on the device.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when the folder holds something else.
    public static func create(_ index: URL, bundle: ModelBundle) async throws -> Lens {
        try await create(path: index.path, bundle: bundle)
    }

    /// Searches with an encoded photo: JPEG, PNG or WebP. Ends with the task: what is cancelled costs nothing more.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when the bytes are no sound photo, or the filter does not fit
    ///   the payloads; `CancellationError`.
    public func search(_ photo: Data, _ query: Query = Query()) async throws -> Answer {
        try await endingWithTask { try await searchPhoto(photo: photo, query: query, cancel: $0) }
    }

    /// Searches with a photo file.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)`` when it cannot be read; else as for an encoded photo.
    public func search(_ photo: URL, _ query: Query = Query()) async throws -> Answer {
        try await endingWithTask { try await searchFile(path: photo.path, query: query, cancel: $0) }
    }

    /// Searches with a frame of a camera: see ``CameraPicture``. The region is the frame's, not the query's.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for a filter that does not fit the payloads;
    ///   `CancellationError`.
    public func search(_ frame: Frame, _ query: Query = Query()) async throws -> Answer {
        try await endingWithTask { try await search(frame: frame, query: query, cancel: $0) }
    }

    /// Adds photos of items, or replaces the items of known keys: all of them, or, on an error, none.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` names the key; ``PocketlensError/Storage(reason:)`` while
    ///   another writer has the index.
    @discardableResult
    public func put(_ items: NewItem...) async throws -> IndexInfo {
        try await update(put: items, remove: [])
    }

    /// Removes items.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)`` while another writer has the index.
    @discardableResult
    public func remove(_ keys: String...) async throws -> IndexInfo {
        try await update(put: [], remove: keys)
    }

    /// Applies a pack that was fetched, and takes up the index that it leads to. With a key, of 64 hexadecimal digits,
    /// only a pack signed with its other half.
    ///
    /// - Throws: ``PocketlensError/Damaged(reason:)`` when the pack is damaged or not signed by the key,
    ///   ``PocketlensError/Incompatible(reason:)`` when it is one of another index; the index is then as it was.
    @discardableResult
    public func apply(_ pack: URL, to index: URL, signedBy key: String? = nil) async throws -> IndexInfo {
        _ = try await applyPack(path: index.path, pack: pack.path, key: key)
        return try await reload()
    }
}

extension Place {
    /// The same place as a region: to look there alone, or to cut it out.
    public var region: Region { .relative(x: x, y: y, width: width, height: height) }
}

extension ModelBundle {
    /// Opens a `.lens` file: where it is, in the app's own resources too. Photos keep the limits.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)``, ``PocketlensError/Damaged(reason:)`` or
    ///   ``PocketlensError/Incompatible(reason:)``.
    public static func open(_ file: URL, limits: Limits = Limits()) async throws -> ModelBundle {
        try await open(path: file.path, limits: limits)
    }

    /// Describes an encoded photo: a unit vector of ``BundleInfo/dim`` numbers, the same bits on every platform.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when the bytes are no sound photo or the region is outside of
    ///   it; `CancellationError`.
    public func describe(_ photo: Data, region: Region? = nil) async throws -> Descriptor {
        try await endingWithTask { try await describePhoto(photo: photo, region: region, cancel: $0) }
    }

    /// Describes a frame.
    ///
    /// - Throws: `CancellationError`.
    public func describe(_ frame: Frame) async throws -> Descriptor {
        try await endingWithTask { try await describe(frame: frame, cancel: $0) }
    }
}

extension Index {
    /// Opens an index without its model: to look, to verify, to update.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)``, ``PocketlensError/Damaged(reason:)`` or
    ///   ``PocketlensError/Incompatible(reason:)``.
    public static func open(_ index: URL) async throws -> Index {
        try await open(path: index.path)
    }
}
